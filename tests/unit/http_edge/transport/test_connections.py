"""Client addresses, eviction of idle connections, and reserved file descriptors."""

import asyncio
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from services.common.runtime.settings import BadSettings
from services.http_edge.transport import file_descriptors
from services.http_edge.transport.connections import Addresses, Connections


class Socket:
    def __init__(self, number: int) -> None:
        self.number = number

    def fileno(self) -> int:
        return self.number


class Transport(asyncio.Transport):
    """A double of the transport of a connection from an address."""

    def __init__(self, address: str, descriptor: int = 10) -> None:
        super().__init__({"peername": (address, 1234), "socket": Socket(descriptor)})
        self.written = b""
        self.over = False

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.over = True

    def abort(self) -> None:
        self.over = True


class Handler(asyncio.Protocol):
    """A double of aiohttp's handler."""


def connect(connections: Connections, *addresses: str, descriptor: int = 10) -> list[Transport]:
    transports = [Transport(address, descriptor) for address in addresses]
    for transport in transports:
        connections.protocol(Handler).connection_made(transport)  # type: ignore[arg-type]
    return transports


def of(most: int = 4, most_of_address: int = 3, trusted: str = "") -> Connections:
    return Connections(
        Addresses(trusted), most=most, most_of_address=most_of_address, idle_s=60, public={"/livez"}
    )


def test_a_new_connection_evicts_the_longest_idle_one_of_an_address_at_its_limit() -> None:
    connections = of()
    other, *own = connect(connections, "10.0.0.9", *["10.0.0.1"] * 5)
    assert [transport.over for transport in own] == [True, True, False, False, False]
    assert not other.over


def test_only_the_total_limit_applies_to_a_trusted_proxy() -> None:
    connections = of(most=100, trusted="10.0.0.0/8")
    assert not any(transport.over for transport in connect(connections, *["10.0.0.1"] * 50))


def test_a_new_connection_evicts_the_longest_idle_one_at_the_total_limit() -> None:
    transports = connect(of(), *(f"10.0.0.{number}" for number in range(6)))
    assert [transport.over for transport in transports] == [True, True, False, False, False, False]


def test_busy_connections_stay_and_new_ones_beyond_the_reserve_are_refused() -> None:
    connections = of(most=3)
    busy = connect(connections, *(f"10.0.0.{number}" for number in range(3)))
    connections._idle.clear()
    reserved = []
    for number in range(16):
        reserved += connect(connections, f"10.0.1.{number}")
        connections._idle.clear()
    [refused] = connect(connections, "10.0.2.1")
    assert not any(transport.over for transport in [*busy, *reserved])
    assert refused.over
    head, _, content = refused.written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert f"Content-Length: {len(content)}".encode() in head


def test_a_high_descriptor_number_counts_as_a_reached_limit() -> None:
    connections = of()
    [first] = connect(connections, "10.0.0.1")
    connect(connections, "10.0.0.2", descriptor=file_descriptors.highest_descriptor())
    assert first.over


@pytest.mark.parametrize(
    ("remote", "forwarded", "expected"),
    [
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),  # not from a trusted proxy
        ("10.0.0.1", "203.0.113.1, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("2001:db8::1:2:3:4", "", "2001:db8::/64"),
        ("::ffff:192.0.2.1", "", "192.0.2.1"),
        ("10.0.0.1", "x" * 1000, "x" * 64),
    ],
)
def test_a_trusted_proxy_determines_the_client_address(
    remote: str, forwarded: str, expected: str
) -> None:
    request = make_mocked_request(
        "GET", "/", headers={"X-Forwarded-For": forwarded} if forwarded else {}
    )
    received = request.clone(remote=remote)
    assert Addresses("10.0.0.0/8, ::1").client(received) == expected


def test_a_proxy_that_is_not_an_address_is_an_invalid_setting() -> None:
    with pytest.raises(BadSettings, match="TRUSTED_PROXIES"):
        Addresses("10.0.0.0/8, nginx")


@pytest.mark.parametrize("limit", [64, 256, 1024, 20_000, 2**30])
def test_the_reserve_of_descriptors_covers_the_connections_accepted_at_once(
    monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(file_descriptors, "_limit", lambda: limit)
    file_descriptors.highest_descriptor.cache_clear()
    try:
        highest = file_descriptors.highest_descriptor()
        assert limit // 2 <= highest <= limit - 4 * file_descriptors.accepted_at_once()
        assert 8 <= file_descriptors.most_connections(4096, files=1024) <= min(4096, highest)
    finally:
        file_descriptors.highest_descriptor.cache_clear()

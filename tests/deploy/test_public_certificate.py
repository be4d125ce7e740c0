"""The expiry of nginx's certificate is measured and alerts: real nginx, blackbox exporter and Prometheus."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from cryptography import x509

from services.common.runtime.local_nats import free_port
from tests.deploy.test_monitoring import DEPLOY, Watched, tool, until_answered
from tests.deploy.test_nginx import certificate, configure, started

_EXPIRY = 'probe_ssl_earliest_cert_expiry{job="certificate"}'


@asynccontextmanager
async def running(*command: str) -> AsyncIterator[None]:
    """Run a program while the block runs."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def watched_nginx(folder: Path, session: aiohttp.ClientSession) -> AsyncIterator[Watched]:
    """Run the three with the deployed configuration, on free ports; alerts wait 2 s."""
    nginx, rules = folder / "nginx", folder / "rules"
    nginx.mkdir()
    rules.mkdir()
    for name in ("alerts.yml", "recording.yml"):
        text = (DEPLOY / "prometheus" / "rules" / name).read_text()
        (rules / name).write_text(text.replace("for: 1h", "for: 2s").replace("for: 5m", "for: 2s"))
    port, exporter, prometheus = free_port(), free_port(), free_port()
    away = f"127.0.0.1:{free_port()}"
    configure(nginx, port=port, plain_port=free_port(), edge=away, interface=away)
    text = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    for deployed, here in (
        ("15s", "1s"),
        ("rules/*.yml", f"{rules}/*.yml"),
        ("nginx:443", f"127.0.0.1:{port}"),
        ("blackbox-exporter:9115", f"127.0.0.1:{exporter}"),
    ):
        assert deployed in text
        text = text.replace(deployed, here)
    (folder / "prometheus.yml").write_text(text)
    async with AsyncExitStack() as stack:
        process = await started(nginx, port)
        stack.push_async_callback(process.wait)
        stack.callback(process.terminate)
        await stack.enter_async_context(
            running(
                tool("prometheus-blackbox-exporter", "prometheus-blackbox-exporter"),
                f"--config.file={DEPLOY / 'blackbox' / 'blackbox.yml'}",
                f"--web.listen-address=127.0.0.1:{exporter}",
            )
        )
        await stack.enter_async_context(
            running(
                tool("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{prometheus}",
            )
        )
        address = f"http://127.0.0.1:{prometheus}"
        await until_answered(session, f"{address}/-/ready")
        yield Watched(folder, address, session)


async def test_a_certificate_that_expires_is_an_alert_until_nginx_presents_a_renewed_one(
    tmp_path: Path,
) -> None:
    async with aiohttp.ClientSession() as session, watched_nginx(tmp_path, session) as watched:

        async def until_firing(expected: set[str]) -> None:
            async with asyncio.timeout(60):
                while {
                    name for name in await watched.firing() if name.startswith("PublicCertificate")
                } != expected:
                    await asyncio.sleep(0.3)

        await until_firing({"PublicCertificateExpires", "PublicCertificateExpiresSoon"})
        nginx = tmp_path / "nginx"
        certificate(nginx / "certificates", days=90)
        os.kill(int((nginx / "pid").read_text()), signal.SIGHUP)
        await until_firing(set())

        [found] = await watched.ask(_EXPIRY)
        pem = (nginx / "certificates" / "tls.crt").read_bytes()
        expires = x509.load_pem_x509_certificate(pem).not_valid_after_utc
        assert float(str(found["value"][1])) == expires.timestamp()  # type: ignore[index]

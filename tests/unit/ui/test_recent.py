"""Responses that are fetched in the background."""

import threading

from ui.client.recent import Recent
from ui.errors import Unreachable


class Service:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.value = 1
        self.asked = 0
        self.open = threading.Event()
        self.open.set()

    def fetch(self) -> int:
        self.asked += 1
        value = self.value
        assert self.open.wait(30)
        if value < 0:
            raise Unreachable("http://localhost")
        return value


def test_the_first_reader_gets_the_response_and_the_next_ones_do_not_ask() -> None:
    service = Service()
    recent = Recent(service.fetch, fresh_s=3600)
    assert [recent.get() for _ in range(3)] == [1, 1, 1]
    assert service.asked == 1


def test_an_old_response_is_returned_while_a_new_one_is_fetched() -> None:
    service = Service()
    recent = Recent(service.fetch, fresh_s=0)
    assert recent.get() == 1
    service.value = 2
    service.open.clear()
    assert recent.get() == 1
    assert recent.get() == 1
    service.open.set()
    while recent.get() != 2:
        pass


def test_a_refusal_is_a_response_as_well() -> None:
    service = Service()
    service.value = -1
    assert isinstance(Recent(service.fetch, fresh_s=3600).get(), Unreachable)


def test_a_lasting_response_stays_when_the_service_does_not_answer() -> None:
    service = Service()
    recent = Recent(service.fetch, fresh_s=3600, lasting=True)
    assert recent.get() == 1
    service.value = -1
    recent.refresh()
    assert recent.get() == 1


def test_a_refresh_is_not_overwritten_by_a_fetch_that_began_before_it() -> None:
    service = Service()
    recent = Recent(service.fetch, fresh_s=0)
    assert recent.get() == 1
    service.open.clear()
    assert recent.get() == 1  # a fetch of the old value is under way
    service.value = 2
    refreshing = threading.Thread(target=recent.refresh)
    refreshing.start()
    while service.asked < 3:
        pass
    service.value = 3
    service.open.set()
    refreshing.join(30)
    assert recent.get() in (2, 3)

"""Many connections at a time through one sidecar: what is open stays whole, whatever changes around it."""

import random
import threading

import pytest

from . import by_hand
from .by_hand import Endpoint
from .faults import own_pod
from .stream_load import ECHO_NUMBERS, HARD_LIMIT, RAISED, Dialler, echo_servers
from .tools import sanitized, wait_until

_ACTIVE = "portolan_forwarder_active_connections"
_DELETED = "portolan_forwarder_endpoint_deleted_total"
def _at_most(wanted: int) -> int:
    """What the sidecar accepts by docs/forwarder.md, less what one of two workers may have more than the other.
    Under a sanitizer every step takes ten times as long."""
    accepted = (HARD_LIMIT - 256) * 3 // 8
    return min(wanted // 10 if sanitized() else wanted, accepted * 9 // 10)


_HELD = _at_most(50_000) // 2 * 2
# In two pods.
_CHURNED = _at_most(5_000)


@pytest.fixture(scope="module")
def servers(cluster):
    with echo_servers(cluster) as pod:
        yield pod


@pytest.fixture
def callers(cluster, servers):
    with own_pod(cluster, "many-1") as one, own_pod(cluster, "many-2") as other:
        for pod in (one, other):
            pod.sidecar.kill()
            pod.sidecar.start(limits=RAISED)
        yield one, other


@pytest.fixture
def caller(callers):
    return callers[0]


@pytest.fixture
def make(cluster, caller, servers):
    services = by_hand.Services(cluster, servers)
    yield lambda *endpoints, **how: services.make(caller, *endpoints, **how)
    services.end()


def test_ten_thousand_streams_stay_whole_while_their_endpoints_churn(callers, make):
    """Endpoints come, go, turn unready; the connections to them go on, and not a byte is lost or moved."""
    service = make(*(Endpoint(n) for n in ECHO_NUMBERS))
    service.wait_held_by(callers[1])
    ended = threading.Event()

    def churn() -> None:
        choose = random.Random(1)
        while not ended.wait(0.05):
            listed = choose.sample(ECHO_NUMBERS, choose.randint(1, len(ECHO_NUMBERS)))
            service.set_endpoints(*(Endpoint(n, ready=choose.random() < 0.8) for n in listed))

    churning = threading.Thread(target=churn)
    with Dialler(callers[0]) as one, Dialler(callers[1]) as other:
        def both(line: str) -> list[dict]:
            for dialler in (one, other):
                dialler.tell(line)
            return [dialler.answer() for dialler in (one, other)]

        whole = [{"whole": _CHURNED, "lost": 0}] * 2
        assert both(f"open {_CHURNED} {service.ip} 80") == [{"opened": _CHURNED, "failed": 0}] * 2
        assert both("round 100") == whole, one.complaint() + other.complaint()
        churning.start()
        try:
            for size in (1_000, 1, 5_000, 20_000):
                assert both(f"round {size}") == whole, one.complaint() + other.complaint()
            for pod in callers:
                wait_until(lambda: pod.sidecar.metrics()[_DELETED] > 0, "connections outlived their endpoints")
        finally:
            ended.set()
            churning.join()
        assert both("finish") == whole, one.complaint() + other.complaint()
    for pod in callers:
        wait_until(lambda: pod.sidecar.metrics()[_ACTIVE] == 0, "all are closed")


def test_fifty_thousand_connections_or_what_the_hard_limit_allows(caller, make):
    """Half over IPv4, half over IPv6: one address and port has 28,000 client ports."""
    services = [make(*(Endpoint(n) for n in ECHO_NUMBERS), ipv6=ipv6) for ipv6 in (False, True)]
    with Dialler(caller) as streams:
        for service in services:
            half = _HELD // 2
            assert streams.ask(f"open {half} {service.ip} 80") == {"opened": half, "failed": 0}, streams.complaint()
        assert streams.ask("round 64") == {"whole": _HELD, "lost": 0}, streams.complaint()
        metrics = caller.sidecar.metrics()
        assert metrics[_ACTIVE] == _HELD
        assert not any(value for name, value in metrics.items() if "accept_pauses" in name)
        print(f"{_HELD} connections: RSS {caller.sidecar.rss_kb()} KB")
        assert streams.ask("round 1000") == {"whole": _HELD, "lost": 0}, streams.complaint()
    wait_until(lambda: caller.sidecar.metrics()[_ACTIVE] == 0, "all are closed", timeout=30)

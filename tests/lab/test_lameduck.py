"""health, ready and prometheus from outside of the pod, and a stop that no query notices until it is over."""

import time

import pytest

from .faults import own_pod
from .resolver_tools import Load
from .tools import PYTHON, TREE, wait_until

_HTTP_BACKEND = "tests/lab/http_backend.py"
# Of the demo's Corefile.
_LAMEDUCK_SECONDS = 5
_QUESTIONS = ("backend.default.svc.cluster.local/A/udp=10.43.0.123", "backend.default.svc.cluster.local/A/tcp=10.43.0.123",
              "v4.example.org/A/udp=198.51.100.7")


@pytest.fixture
def pod(cluster):
    with own_pod(cluster, "lameduck") as made:
        yield made


def test_health_fails_at_once_and_dns_goes_on_for_the_lameduck_time(pod):
    sidecar = pod.sidecar
    assert (sidecar.page("/health").status, sidecar.page("/ready").status) == (200, 200)
    with Load(pod, 200, *_QUESTIONS) as load:
        begin = time.monotonic()
        sidecar.daemon.terminate()
        wait_until(lambda: sidecar.page("/health").status == 503, "/health fails", timeout=0.5)
        assert sidecar.page("/healthz").status == 200, "a restart would not make it better"
        wait_until(lambda: not sidecar.daemon.running(), "it ends", timeout=_LAMEDUCK_SECONDS + 3)
        end = time.monotonic()
    assert sidecar.daemon.stop() == 0
    assert _LAMEDUCK_SECONDS <= end - begin < _LAMEDUCK_SECONDS + 1.5
    assert load.wrong == []
    early = [m for m in load.missing if m["t"] < end - 0.1]
    assert early == [] and load.asked > 900, load


def test_a_container_that_declares_9153_has_the_port_when_it_starts(pod):
    sidecar = pod.sidecar
    sidecar.kill()
    sidecar.start("--app-ports", "9153")
    assert sidecar.page("/metrics", port=9153).status == 0, "nobody listens yet"
    assert "portolan_feed_in_sync" in sidecar.page("/metrics").body


def test_a_container_that_listens_on_9153_keeps_its_port(pod):
    sidecar = pod.sidecar
    assert "portolan_feed_in_sync" in sidecar.page("/metrics", port=9153).body
    sidecar.kill()
    application = pod.sandbox.start("application", [PYTHON, str(TREE / _HTTP_BACKEND), "9153", "application"])
    application.wait_ready(lambda: sidecar.page("/", port=9153).status == 200, "the application listens")
    sidecar.start()
    assert sidecar.page("/metrics", port=9153).body == "application\n"
    assert "portolan_feed_in_sync" in sidecar.page("/metrics").body
    assert "prometheus" in sidecar.daemon.log_tail() and "9153" in sidecar.daemon.log_tail()

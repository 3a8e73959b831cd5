"""The wall clock may be set while a sidecar runs: timers go on, no query is lost, ages stay what they are."""

import re
import time

import pytest

from .faults import QUICKLY_STALE, FakeClock, control_plane_black_hole, own_pod
from .resolver_tools import Load, dig
from .tools import sanitized, wait_until

pytestmark = pytest.mark.skipif(sanitized(), reason="libfaketime and the sanitizer both want to be loaded first")

_NAME = "backend.default.svc.cluster.local"
_QUESTIONS = (f"{_NAME}/A/udp=10.43.0.123", f"unknown-here.{_NAME}/A/udp=NXDOMAIN", "example.org/AAAA/udp=any",
              "v4.example.org/A/tcp=198.51.100.7")


@pytest.fixture(scope="module")
def pod(cluster):
    with own_pod(cluster, "clock") as made:
        made.sidecar.kill()
        made.clock = FakeClock(made)
        made.sidecar.start(*QUICKLY_STALE, before=made.clock.before)
        yield made


def test_an_hour_forth_and_back_loses_no_query_and_leaves_the_feed_in_sync(cluster, pod):
    serials = []
    with Load(pod, 200, *_QUESTIONS) as load:
        for offset in ("+1h", "-1h", "+0"):
            pod.clock.set(offset)
            serials.append(_serial_after_a_change(cluster, pod))
            time.sleep(0.5)
            feed = pod.sidecar.feed()
            assert (feed["inSync"], feed["age"]) == (True, "0")
    assert abs(serials[0] - time.time() - 3600) < 60, "the sidecar sees the clock that we set"
    assert serials == sorted(serials), "a zone's serial does not fall"
    assert load.all_answered(), load
    assert load.slowest < 1, load
    assert pod.sidecar.metrics()["portolan_feed_connects_total"] == 1, "nobody took it for silence"


def test_the_age_of_a_stale_feed_is_not_changed_by_the_clock(pod):
    with control_plane_black_hole(pod):
        wait_until(lambda: not pod.sidecar.feed()["inSync"], "the feed turns stale")
        for offset in ("+1h", "-1h", "+0"):
            pod.clock.set(offset)
            assert 1 < _age_seconds(pod) < 20
            assert 1 < pod.sidecar.metrics()["portolan_feed_age_seconds"] < 20
            assert dig(pod, _NAME).data("A") == ["10.43.0.123"]
    wait_until(lambda: pod.sidecar.feed()["inSync"], "the feed comes back", timeout=20)


def _age_seconds(pod):
    return int(re.search(r"age: (\d+)s\n", pod.sidecar.page("/ready").body).group(1))


def _serial_after_a_change(cluster, pod):
    """The serial of the zone, which is the time of its last change."""
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "tick", "namespace": "default"},
               "spec": {"clusterIP": "10.43.0.73", "clusterIPs": ["10.43.0.73"], "ports": [{"port": 80}]}}
    for change, status in ((cluster.apply, "NOERROR"), (cluster.delete, "NXDOMAIN")):
        change(service)
        wait_until(lambda: dig(pod, "tick.default.svc.cluster.local").status == status, "the change arrives")
    return int(dig(pod, "cluster.local", "SOA").data("SOA")[0].split()[2])

"""A sidecar that is killed under load is back within a second, and knows from its disk what it knew."""

import time

import pytest

from .changes import Probe
from .faults import control_plane_black_hole, own_pod
from .resolver_tools import Load
from .tools import wait_until

_NAME = "backend.default.svc.cluster.local"
_ADDRESS = "10.43.0.123"
_LIMIT_SECONDS = 1.0


@pytest.fixture
def pod(cluster):
    with own_pod(cluster, "restarted") as made:
        wait_until((made.sidecar.state_dir / "directory.state").exists, "the state is saved")
        yield made


def test_killed_under_load_and_back_within_a_second_without_a_control_plane(pod, record_property):
    probe = Probe(pod, "dns", pod.sandbox.shape.resolver(), _NAME, "A")
    questions = (f"{_NAME}/A/udp={_ADDRESS}", f"{_NAME}/AAAA/tcp=NOERROR", "v4.example.org/A/udp=any")
    with control_plane_black_hole(pod), Load(pod, 400, *questions) as load:
        wait_until(lambda: probe.lines[-1]["answer"] == [_ADDRESS], "it is answered")
        pod.sidecar.kill()
        killed = time.monotonic()
        pod.sidecar.start()
        wait_until(lambda: probe.lines[-1]["answer"] == [_ADDRESS], "it is answered again")
        back = probe.lines[-1]["t"]
    record_property("seconds_without_an_answer", back - killed)
    assert 0 < back - killed < _LIMIT_SECONDS
    assert load.wrong == [], "the first answer is as good as the last"
    late = [m for m in load.missing if m["t"] > back]
    assert late == [] and load.asked > 500, load
    assert load.missing, "the load saw that it was away"

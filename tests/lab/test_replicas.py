"""Two replicas of the control plane, none of them special: each may end and come back under load."""

import json

import pytest

from .control_plane import ADDRESS4, REPLICA4
from .faults import own_pod
from .resolver_tools import Load, dig
from .tools import wait_until

_NAME = "backend.default.svc.cluster.local"
_HEADLESS = "backend-headless.default.svc.cluster.local"
# No one has it: while a stream is being opened the cluster DNS is asked, and says the same.
_NOBODY = "not-there.default.svc.cluster.local"


@pytest.fixture
def replica(cluster):
    daemon = cluster.control.start_replica()
    yield daemon
    daemon.kill()


def _feed(pod) -> dict:
    return json.loads(pod.sh("curl -s http://127.0.0.1:15000/config_dump").stdout)["feed"]


def _follows(pod, address: str) -> bool:
    feed = _feed(pod)
    return feed["inSync"] and feed["controlPlane"] == address


def _see_a_new_service(cluster, pod, number: int) -> None:
    name, address = f"new-{number}", f"10.43.0.{90 + number}"
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
               "spec": {"clusterIP": address, "clusterIPs": [address], "ports": [{"port": 80}]}}
    cluster.apply(service)
    wait_until(lambda: dig(pod, f"{name}.default.svc.cluster.local").data("A") == [address], "it is told of the change")
    cluster.delete(service)


def test_each_in_turn_restarts_under_load_and_no_query_is_lost(cluster, replica):
    with own_pod(cluster, "of-two") as pod:
        pod.sidecar.kill()
        pod.sidecar.start("--control", REPLICA4)
        wait_until(lambda: _follows(pod, ADDRESS4), "the sidecar follows the first")
        # The lab's cluster DNS knows no headless name; a sidecar holds its endpoints once it was asked.
        members = ",".join(dig(pod, _HEADLESS).data("A"))
        assert members
        questions = (f"{_NAME}/A/udp=10.43.0.123", f"{_HEADLESS}/A/udp={members}", f"{_NOBODY}/A/udp=NXDOMAIN")
        with Load(pod, 300, *questions) as load:
            assert cluster.control.daemon.stop(grace=10) == 0
            try:
                wait_until(lambda: _follows(pod, REPLICA4), "the sidecar follows the second")
                _see_a_new_service(cluster, pod, 1)
            finally:
                cluster.control.start()
            assert replica.stop(grace=10) == 0
            wait_until(lambda: _follows(pod, ADDRESS4), "the sidecar follows the first again")
            _see_a_new_service(cluster, pod, 2)
        assert load.all_answered(), str(load)

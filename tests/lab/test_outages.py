"""With the control plane away a sidecar goes on with what it has; restarted, it starts from its disk."""

from collections import Counter

import pytest

from . import network
from .cluster_dns import DECOY
from .pods import Shape
from .resolver_tools import dig, nslookup_text
from .tools import wait_until

_NAME = "backend.default.svc.cluster.local"


@pytest.fixture
def without_control_plane(cluster, frontend):
    # What a sidecar was never asked for it need not hold: have the names asked once.
    _everything_works(cluster, frontend)
    cluster.control.kill()
    yield
    cluster.control.start()
    _wait_for_change_to_arrive(cluster, frontend)


def test_control_plane_killed(cluster, frontend, without_control_plane):
    _everything_works(cluster, frontend)


def test_control_plane_killed_and_sidecar_killed_and_restarted(cluster, frontend, without_control_plane):
    frontend.sidecar.kill()
    frontend.sidecar.start()
    _everything_works(cluster, frontend)


def test_sidecar_killed_and_restarted(cluster, frontend):
    frontend.sidecar.kill()
    frontend.sidecar.start()
    _everything_works(cluster, frontend)


def test_sidecar_ends_by_itself_when_told_to(frontend):
    try:
        assert frontend.sidecar.daemon.stop(grace=10) == 0
    finally:
        frontend.sidecar.start()


def test_a_pod_that_starts_without_a_control_plane_is_served_by_its_own_resolver(cluster, without_control_plane):
    """No state, no feed: queries go to the resolvers of resolv.conf, whose answer counts."""
    pod = cluster.tools_pod("born-alone", Shape())
    try:
        assert dig(pod, _NAME).data("A") == [DECOY]
        assert dig(pod, "v4.example.org").data("A") == [network.OUTSIDE4]
    finally:
        cluster.stop_pod(pod)


def _everything_works(cluster, pod):
    backends = cluster.members("backend")
    assert pod.exec("nslookup", _NAME).stdout == nslookup_text(network.CLUSTER_DNS4, _NAME, "10.43.0.123")
    headless = dig(pod, "backend-headless.default.svc.cluster.local").data("A")
    assert sorted(headless) == sorted(p.ip for p in backends)
    assert network.OUTSIDE4 in pod.exec("nslookup", "example.org").stdout
    done = pod.sh("for i in $(seq 30); do curl -sS -m 5 http://backend:8080/; done")
    counts = Counter(done.stdout.split())
    assert set(counts) == {p.name for p in backends} and min(counts.values()) >= 3, done.stderr


def _wait_for_change_to_arrive(cluster, pod):
    """A Service appears in the pod's answers: the feed is up again."""
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "again", "namespace": "default"},
               "spec": {"clusterIP": "10.43.0.80", "clusterIPs": ["10.43.0.80"], "ports": [{"port": 80}]}}
    cluster.apply(service)
    wait_until(lambda: dig(pod, "again.default.svc.cluster.local").data("A") == ["10.43.0.80"],
               "the feed comes back", timeout=30, interval=0.2)
    cluster.delete(service)
    wait_until(lambda: dig(pod, "again.default.svc.cluster.local").status == "NXDOMAIN", "the Service goes", timeout=5)

"""With the control plane away a sidecar goes on with what it has; restarted, it starts from its disk."""

from collections import Counter

import pytest

from . import network
from .cluster_dns import DECOY
from .faults import QUICKLY_STALE, control_plane_black_hole, own_pod
from .pods import Shape
from .resolver_tools import Load, dig, nslookup_text
from .tools import wait_until

_NAME = "backend.default.svc.cluster.local"
# The cluster DNS has it, the cluster has not.
_UNKNOWN = "unknown-here.default.svc.cluster.local"


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


def test_a_control_plane_that_is_a_black_hole(cluster):
    """Nothing refuses and nothing answers: known names stay, unknown ones are left to the cluster DNS."""
    with own_pod(cluster, "black-hole") as pod:
        pod.sidecar.kill()
        pod.sidecar.start(*QUICKLY_STALE)
        with control_plane_black_hole(pod), Load(pod, 200, f"{_NAME}/A/udp=10.43.0.123") as load:
            assert dig(pod, _UNKNOWN).status == "NXDOMAIN"
            wait_until(lambda: dig(pod, _UNKNOWN).data("A") == [DECOY], "the feed turns stale", timeout=5)
            ready = pod.sidecar.page("/ready")
            assert ready.status == 200 and "feed: stale, from control plane\nage: " in ready.body
            # Longer than the sidecar holds on to a silent connection: it dials into the hole, too.
            wait_until(lambda: pod.sidecar.metrics()["portolan_feed_connects_total"] >= 2, "it dials again")
        assert load.all_answered() and load.slowest < 1, load
        wait_until(lambda: dig(pod, _UNKNOWN).status == "NXDOMAIN", "the feed is back", timeout=25)
        assert pod.sidecar.page("/ready").body.startswith("ready\nfeed: in sync\n")


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

"""A change of the cluster is seen within 100 ms, in answers and in connections."""

import pytest

from .changes import measure
from .resolver_tools import dig
from .tools import wait_until

_HEADLESS = "backend-headless.default.svc.cluster.local"
_CLUSTER_IP, _PORT = "10.43.0.123", 8080
_LIMIT_MS = 100


def test_a_backend_that_goes_and_one_that_comes_are_seen_within_100_ms(cluster, frontend):
    goes = cluster.members("backend")[0]
    stay = [p.ip for p in cluster.members("backend")[1:]]
    removed = measure(frontend, _HEADLESS, _CLUSTER_IP, _PORT, lambda: cluster.unlist_pod(goes),
                      stay, gone=goes.name)
    cluster.stop_pod(goes)
    comes = cluster.add_replica("backend", listed=False)
    added = measure(frontend, _HEADLESS, _CLUSTER_IP, _PORT, lambda: cluster.list_pod(comes),
                    stay + [comes.ip], new=comes.name)
    assert removed.within(_LIMIT_MS), removed
    assert added.within(_LIMIT_MS), added


def test_a_pod_that_turns_not_ready_is_neither_answered_nor_reached(cluster, frontend):
    pod, *others = cluster.members("backend")

    def turn_not_ready():
        pod.set_ready(False)
        cluster.api.apply(pod.obj)
        return cluster.sync_endpoints()

    try:
        seen = measure(frontend, _HEADLESS, _CLUSTER_IP, _PORT, turn_not_ready, [p.ip for p in others], gone=pod.name)
        assert seen.within(_LIMIT_MS), seen
    finally:
        cluster.list_pod(pod)
    wait_until(lambda: len(dig(frontend, _HEADLESS).answer) == len(others) + 1, "all backends are back", timeout=3)


@pytest.fixture
def late(cluster):
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "late", "namespace": "default"},
               "spec": {"clusterIP": "10.43.0.70", "clusterIPs": ["10.43.0.70"], "ipFamilies": ["IPv4"],
                        "ports": [{"name": "http", "port": 80}]}}
    yield service
    cluster.delete(service)


def test_a_service_appears_changes_and_goes(cluster, frontend, late):
    name = "late.default.svc.cluster.local"
    assert dig(frontend, name).status == "NXDOMAIN"
    cluster.apply(late)
    wait_until(lambda: dig(frontend, name).data("A") == ["10.43.0.70"], "the Service appears", timeout=2)
    late["spec"].update(clusterIP="10.43.0.71", clusterIPs=["10.43.0.71"])
    cluster.apply(late)
    wait_until(lambda: dig(frontend, name).data("A") == ["10.43.0.71"], "its address changes", timeout=2)
    cluster.delete(late)
    wait_until(lambda: dig(frontend, name).status == "NXDOMAIN", "it goes", timeout=2)

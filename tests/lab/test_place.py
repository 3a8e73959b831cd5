"""A sidecar that is not told where it runs learns it from the control plane, by its pod's addresses."""

import json

import pytest

from . import by_hand, network
from .by_hand import Endpoint, reached
from .faults import own_pod
from .tools import wait_until


def _node(name: str, zone: str) -> dict:
    return {"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone}}}


def _place(pod) -> dict:
    return json.loads(pod.sidecar.admin("/config_dump"))["place"]


@pytest.fixture
def nodes(cluster):
    names = ("node-a", "node-b")
    for name in names:
        cluster.api.apply(_node(name, network.zone_of(name)))
    yield
    for name in names:
        cluster.api.delete(_node(name, ""))


def test_hints_are_honoured_without_flags_and_follow_the_nodes_zone(cluster, nodes):
    with by_hand.servers(cluster) as servers, own_pod(cluster, "not-told") as pod:
        pod.sidecar.kill()
        pod.sidecar.start("--node-name=", "--zone=")
        node = pod.obj["spec"]["nodeName"]
        wait_until(lambda: _place(pod)["zone"] == network.zone_of(node), "the place is known")
        assert _place(pod) == {"node": node, "nodeSource": "control plane",
                               "zone": network.zone_of(node), "zoneSource": "control plane"}
        services = by_hand.Services(cluster, servers)
        try:
            hinted = services.make(pod, Endpoint(1, zones=(network.zone_of(node),)), Endpoint(2, zones=("elsewhere",)))
            local = services.make(pod, Endpoint(3, node=node), Endpoint(4, node="another"),
                                  spec={"internalTrafficPolicy": "Local"})
            assert set(reached(pod, hinted.url)) == {"s1"}
            assert set(reached(pod, local.url)) == {"s3"}
            cluster.api.apply(_node(node, "elsewhere"))
            wait_until(lambda: _place(pod)["zone"] == "elsewhere", "the node's new zone is known")
            assert set(reached(pod, hinted.url)) == {"s2"}
        finally:
            services.end()


def test_flags_win(cluster, nodes):
    with own_pod(cluster, "told") as pod:
        place = _place(pod)
        assert (place["nodeSource"], place["zoneSource"]) == ("flag", "flag")

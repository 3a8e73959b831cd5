"""A sidecar that has no descriptors left goes on answering over UDP, and recovers."""

import time

import pytest

from . import network
from .faults import held_connections, own_pod
from .resolver_tools import Load, dig
from .tools import wait_until

_NAME = "backend.default.svc.cluster.local"
_QUESTIONS = (f"{_NAME}/A/udp=10.43.0.123", f"unknown.{_NAME}/A/udp=NXDOMAIN", f"v4.example.org/A/udp={network.OUTSIDE4}")
# Far below what a container has: some 90 connections of the application, 8 of DNS on each listener.
_DESCRIPTORS = 512


@pytest.fixture(scope="module")
def pod(cluster):
    with own_pod(cluster, "descriptors") as made:
        made.sidecar.kill()
        made.sidecar.start(before=("prlimit", f"--nofile={_DESCRIPTORS}:{_DESCRIPTORS}"))
        yield made


@pytest.mark.parametrize("address, port", [(network.CLUSTER_DNS4, 53), ("10.43.0.123", 8080)], ids=["dns", "service"])
def test_connections_beyond_the_descriptors_cost_no_answer_over_udp(pod, address, port):
    with Load(pod, 200, *_QUESTIONS) as load:
        with held_connections(pod, 600, address, port):
            time.sleep(1.5)
    assert load.all_answered(), load
    wait_until(lambda: dig(pod, "+tcp", _NAME).data("A") == ["10.43.0.123"], "TCP is served again", timeout=5)
    assert pod.sidecar.page("/ready").status == 200

"""Endpoints on demand: what a first question and a first connection cost, and what they get without a control plane."""

import json
import os
import signal
import time
from contextlib import contextmanager

import pytest

from . import network
from .cluster_dns import DECOY
from .faults import control_plane_black_hole, own_pod
from .resolver_tools import Load, dig
from .sidecar import EVERY_SIDECAR
from .tools import wait_until

pytestmark = pytest.mark.skipif(EVERY_SIDECAR.get("endpoints") == "eager", reason="they are held from the start")

# The cluster DNS has a decoy for both, so that an answer tells who gave it.
_HEADLESS, _LATE = "asked-first.default.svc.cluster.local", "asked-late.default.svc.cluster.local"
_BACKEND4 = "10.43.0.123"


def _service(name: str) -> dict:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
            "spec": {"clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv4"],
                     "selector": {"app": "backend"}, "ports": [{"name": "http", "port": 8080}]}}


@pytest.fixture(scope="module")
def services(cluster):
    for name in ("asked-first", "asked-late"):
        cluster.apply(_service(name))
    yield
    for name in ("asked-first", "asked-late"):
        cluster.delete(_service(name))


@pytest.fixture
def pod(cluster, services):
    """Its sidecar holds no endpoints yet."""
    with own_pod(cluster, "on-demand") as made:
        wait_until(lambda: _HEADLESS in made.sidecar.admin("/names?search=asked-first"), "the Services are known")
        yield made


@contextmanager
def _silent_control_plane(cluster):
    """It hangs: connections stay, and nothing is answered. For less than the 10 s after which it counts as away."""
    os.kill(cluster.control.daemon.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(cluster.control.daemon.pid, signal.SIGCONT)


def _state(pod, service: str) -> str:
    names = json.loads(pod.sidecar.admin(f"/names?search={service}.default"))["names"]
    return next(n for n in names if n["name"] == service)["endpointsState"]


def _metric(pod, name: str, outcome: str) -> float:
    return pod.sidecar.metrics()[f'portolan_{name}_total{{outcome="{outcome}"}}']


def _backends(cluster) -> list:
    return sorted(p.ip for p in cluster.members("backend"))


def _curl(pod, url: str, *flags: str):
    return pod.exec("curl", "-sS", "-m", "5", *flags, url)


def test_the_first_question_for_a_headless_name_waits_for_its_endpoints(cluster, pod):
    assert _state(pod, "asked-first") == "not held"
    assert sorted(dig(pod, _HEADLESS).data("A")) == _backends(cluster)
    assert _state(pod, "asked-first") == "held" and _state(pod, "asked-late") == "not held"
    assert _metric(pod, "endpoint_waits", "held") == 1
    assert sorted(dig(pod, _HEADLESS).data("A")) == _backends(cluster)
    assert _metric(pod, "endpoint_waits", "held") == 1, "held now"
    srv = dig(pod, f"_http._tcp.{_LATE}", "SRV")
    assert len(srv.data("SRV")) == len(_backends(cluster)), srv.text


def test_an_address_of_an_endpoint_leads_back_to_its_services(cluster, pod):
    ip = _backends(cluster)[0]
    names = dig(pod, "-x", ip).data("PTR")
    assert f"{ip.replace('.', '-')}.{_HEADLESS}." in names, names


def test_a_silent_control_plane_costs_200_ms_and_the_cluster_dns_answers(cluster, pod):
    with _silent_control_plane(cluster):
        begin = time.monotonic()
        answers = pod.exec("dig", "+short", "+time=2", "+tries=1", _HEADLESS, _HEADLESS).stdout.split()
        took = time.monotonic() - begin
        assert answers == [DECOY, DECOY] and 0.2 <= took < 1, (answers, took)
        timed_out = _metric(pod, "endpoint_waits", "timed_out")
        assert timed_out in (1, 2), "each worker waits for itself, and then not again"
        assert timed_out + _metric(pod, "endpoint_waits", "in_vain_just_now") == 2
        assert dig(pod, "backend.default.svc.cluster.local").data("A") == [_BACKEND4], "needs no endpoints"
    wait_until(lambda: sorted(dig(pod, _HEADLESS).data("A")) == _backends(cluster), "it answers again")


def test_with_the_control_plane_away_it_is_the_cluster_dns_at_once(cluster, pod):
    wait_until((pod.sidecar.state_dir / "directory.state").exists, "the Services are saved")
    pod.sidecar.kill()
    with control_plane_black_hole(pod):
        pod.sidecar.start()
        assert dig(pod, _HEADLESS).data("A") == [DECOY]
        assert _metric(pod, "endpoint_waits", "not_answering") == 1


def test_the_first_connection_by_address_waits_for_the_endpoints(cluster, pod):
    before = network.dropped_service_packets()
    who = _curl(pod, f"http://{_BACKEND4}:8080/").stdout.strip()
    assert who in {p.name for p in cluster.members("backend")}
    assert _metric(pod, "forwarder_endpoint_waits", "held") == 1
    assert network.dropped_service_packets() == before
    _curl(pod, f"http://{_BACKEND4}:8080/")
    assert _metric(pod, "forwarder_endpoint_waits", "held") == 1


def test_after_its_name_was_asked_a_connection_finds_them(cluster, pod):
    assert dig(pod, "backend.default.svc.cluster.local").data("A") == [_BACKEND4]
    wait_until(lambda: _state(pod, "backend") == "held", "the question has them brought")
    assert _curl(pod, "http://backend:8080/").stdout.strip() in {p.name for p in cluster.members("backend")}
    assert _metric(pod, "forwarder_endpoint_waits", "held") == 0


def test_a_service_that_has_none_resets_the_first_connection(cluster, pod):
    done = _curl(pod, "http://10.43.0.60:8080/")
    assert done.returncode in (7, 52, 55, 56), f"{done.returncode} {done.stderr}"
    assert _metric(pod, "forwarder_connections", "no_endpoints") == 1


def test_a_connection_waits_a_second_for_a_silent_control_plane_and_passes_through(cluster, pod):
    """To a kube-proxy, where there is one: here the packets are dropped, and counted."""
    before = network.dropped_service_packets()
    with _silent_control_plane(cluster):
        done = _curl(pod, f"http://{_BACKEND4}:8080/", "-m", "2")
    assert done.returncode == 28, done.stderr
    assert _metric(pod, "forwarder_endpoint_waits", "timed_out") == 1
    assert network.dropped_service_packets() > before
    wait_until(lambda: _curl(pod, f"http://{_BACKEND4}:8080/").returncode == 0, "it answers again")


def test_what_is_not_used_is_dropped_and_what_is_used_is_kept(cluster, pod):
    pod.sidecar.kill()
    pod.sidecar.start("--endpoints-idle", "2s")
    assert dig(pod, _LATE).status == "NOERROR"
    with Load(pod, 20, f"{_HEADLESS}/A/udp=any") as load:
        wait_until(lambda: _state(pod, "asked-first") == "held", "it is asked for")
        wait_until(lambda: _state(pod, "asked-late") == "not held", "it is dropped", timeout=6)
        assert _state(pod, "asked-first") == "held"
    assert load.all_answered(), load
    assert pod.sidecar.metrics()["portolan_feed_endpoints_dropped_total"] >= 1
    assert sorted(dig(pod, _LATE).data("A")) == _backends(cluster), "and comes again"


def test_what_was_held_is_read_from_the_disk(cluster, pod):
    assert sorted(dig(pod, _HEADLESS).data("A")) == _backends(cluster)
    time.sleep(1.5)  # it is saved once a second
    pod.sidecar.kill()
    with control_plane_black_hole(pod):
        pod.sidecar.start()
        assert sorted(dig(pod, _HEADLESS).data("A")) == _backends(cluster)
        assert dig(pod, _LATE).data("A") == [DECOY], "that was not"


def test_eager_holds_all_and_nothing_waits(cluster, pod):
    pod.sidecar.kill()
    pod.sidecar.start("--endpoints", "eager")
    assert "endpointsState" not in pod.sidecar.admin("/names")
    assert sorted(dig(pod, _HEADLESS).data("A")) == _backends(cluster)
    assert _curl(pod, f"http://{_BACKEND4}:8080/").returncode == 0
    assert _metric(pod, "endpoint_waits", "held") == 0
    assert _metric(pod, "forwarder_endpoint_waits", "held") == 0

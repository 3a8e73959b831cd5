"""Connections are carried to an endpoint by the sidecar: there is no kube-proxy."""

import time
from collections import Counter

import pytest

from . import network
from .pods import Shape


@pytest.fixture
def nothing_dropped():
    """No packet for a Service address leaves a pod while the test runs."""
    before = network.dropped_service_packets()
    yield
    assert network.dropped_service_packets() == before


def _curl(pod, url, *flags):
    return pod.exec("curl", "-sS", "-m", "5", *flags, url)


def _names(cluster):
    return {p.name for p in cluster.members("backend")}


@pytest.mark.parametrize("url, flag", [("http://backend.default.svc.cluster.local:8080/", "-4"),
                                       ("http://dual/", "-4"), ("http://dual/", "-6")])
def test_thirty_connections_reach_each_backend(frontend, cluster, nothing_dropped, url, flag):
    script = f"for i in $(seq 30); do curl -sS -m 5 {flag} {url}; done"
    counts = Counter(frontend.sh(script).stdout.split())
    assert set(counts) == _names(cluster) and sum(counts.values()) == 30
    assert min(counts.values()) >= 3


@pytest.mark.parametrize("url", ["http://10.43.0.123:8080/", "http://10.43.0.50/", "http://[fd00:43::50]/"])
def test_a_cluster_ip_is_carried_without_any_name(frontend, cluster, nothing_dropped, url):
    assert _curl(frontend, url).stdout.strip() in _names(cluster)


def test_the_frontends_nginx_reaches_the_backend_by_the_seeds_variables(frontend, cluster):
    assert _curl(frontend, "http://127.0.0.1/backend").stdout.strip() in _names(cluster)


def test_a_connection_to_a_pod_reaches_that_pod(frontend, cluster):
    for backend in cluster.members("backend"):
        ip4, ip6 = backend.sandbox.ips
        assert _curl(frontend, f"http://{ip4}:8080/").stdout.strip() == backend.name
        assert _curl(frontend, f"http://[{ip6}]:8080/").stdout.strip() == backend.name


def test_a_headless_name_reaches_a_backend(frontend, cluster):
    done = _curl(frontend, "http://backend-headless:8080/")
    assert done.stdout.strip() in _names(cluster), done.stderr


def test_a_pod_reaches_itself_through_its_own_service(cluster, nothing_dropped):
    """Hairpin: kube-proxy has to masquerade for it."""
    pod = cluster.members("backend")[0]
    script = "for i in $(seq 12); do curl -sS -m 5 http://10.43.0.123:8080/; done"
    assert set(pod.sh(script).stdout.split()) == _names(cluster)


def test_what_is_outside_of_the_cluster_passes(frontend):
    for url in ("http://example.org:9090/", f"http://{network.OUTSIDE4}:9090/", f"http://[{network.OUTSIDE6}]:9090/"):
        assert _curl(frontend, url).stdout.strip() == "outside", url


def test_the_pods_own_ports_are_reached_directly(frontend):
    for host in ("127.0.0.1", frontend.ip):
        assert _curl(frontend, f"http://{host}/").stdout.strip() == frontend.name


def test_a_service_without_endpoints_resets_at_once(frontend, nothing_dropped):
    begin = time.monotonic()
    done = _curl(frontend, "http://nobody.default.svc.cluster.local:8080/")
    assert done.returncode in (7, 52, 55, 56), f"{done.returncode} {done.stderr}"
    assert time.monotonic() - begin < 1


def test_a_port_without_listener_on_a_pod_is_refused_or_reset(frontend, cluster):
    done = _curl(frontend, f"http://{cluster.members('backend')[0].ip}:8999/")
    assert done.returncode in (7, 52, 55, 56), f"{done.returncode} {done.stderr}"


def test_an_endpoint_that_refuses_is_passed_over(frontend, cluster):
    """Its process is dead and its address still listed, as for some seconds after a crash."""
    deaf = cluster.start_pod({"metadata": {"name": "deaf", "labels": {"app": "backend"}},
                              "spec": {"containers": [{"name": "tools", "image": "lab/tools"}]}}, Shape(sidecar=False))
    try:
        time.sleep(0.3)
        script = "for i in $(seq 20); do curl -sS -m 5 http://backend:8080/; done"
        counts = Counter(frontend.sh(script).stdout.split())
        assert sum(counts.values()) == 20 and set(counts) <= _names(cluster) - {"deaf"}
    finally:
        cluster.stop_pod(deaf)


def test_without_a_sidecar_the_packet_is_dropped_and_counted(shaped):
    """The counter that the other tests hold at its value does count."""
    before = network.dropped_service_packets()
    done = shaped("no-sidecar").exec("curl", "-sS", "-m", "1", "http://10.43.0.123:8080/")
    assert done.returncode == 28
    assert network.dropped_service_packets() > before

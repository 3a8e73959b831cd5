"""What a sidecar dials itself, upstream DNS and the control plane, by Services' addresses that nobody on the node
serves: the lab has no kube-proxy, and counts what pods send there."""

import json

import pytest

from . import network
from .control_plane import ADDRESS4, SERVER_NAME, XDS_PORT
from .faults import own_pod
from .pods import Shape
from .resolver_tools import dig
from .tools import wait_until

# Cluster IPs without anybody behind them, unlike that of the lab's cluster DNS.
_DNS_IP, _CONTROL_IP = "10.43.0.99", "10.43.0.98"
# The lab's cluster DNS by an address that is no Service's.
_DNS_ENDPOINT = network.NODE_LOCAL_DNS


def _service(namespace: str, name: str, ip: str, endpoint: str, *ports: dict) -> list[dict]:
    metadata = {"namespace": namespace, "name": name}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata,
         "spec": {"type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "ports": list(ports)}},
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
         "metadata": {**metadata, "labels": {"kubernetes.io/service-name": name}},
         "ports": list(ports), "endpoints": [{"addresses": [endpoint]}]}]


@pytest.fixture
def services(cluster):
    objects = [
        *_service("dns-system", "cluster-dns", _DNS_IP, _DNS_ENDPOINT,
                  {"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}),
        *_service("portolan-system", "portolan-control", _CONTROL_IP, network.POD_GATEWAY4,
                  {"name": "xds", "port": XDS_PORT, "protocol": "TCP"})]
    for obj in objects:
        cluster.api.apply(obj)
    yield
    for obj in reversed(objects):
        cluster.api.delete(obj)


def _upstream(pod) -> dict:
    return json.loads(pod.sidecar.admin("/config_dump"))["upstreamServices"].get(f"{_DNS_IP}:53", {})


def _saved(pod, resource_name: bytes) -> bool:
    file = pod.sidecar.state_dir / "directory.state"
    return file.exists() and resource_name in file.read_bytes()


def _outside_is_answered(pod) -> bool:
    return dig(pod, "v4.example.org").data("A") == [network.OUTSIDE4]


def test_no_kube_proxy_is_needed_from_the_first_start_on_nor_after_a_restart_from_disk(cluster, services):
    with own_pod(cluster, "own-dialling", Shape(nameserver=_DNS_IP)) as pod:
        pod.sidecar.kill()
        for file in pod.sidecar.state_dir.iterdir():
            file.unlink()
        # The first start, without the directory: as the injector writes it.
        cluster.control.kill()
        try:
            pod.sidecar.start(f"--cluster-dns={_DNS_ENDPOINT}:53")
            assert _upstream(pod)["source"] == "--cluster-dns"
            assert _outside_is_answered(pod)
        finally:
            cluster.control.start()
        wait_until(lambda: _upstream(pod).get("source") == "directory", "the directory knows the cluster DNS", timeout=30)
        assert _upstream(pod) == {"service": "dns-system/cluster-dns", "endpoints": [f"{_DNS_ENDPOINT}:53"],
                                  "source": "directory"}
        assert _outside_is_answered(pod)
        wait_until(lambda: _saved(pod, b"portolan-system/portolan-control/portolan-control"),
                   "the control plane's endpoints are saved", timeout=10)

        # Later: by names and cluster IPs, and what the disk has. (While nothing was known the name was tried, in vain.)
        before = network.dropped_service_packets()
        for host in (SERVER_NAME, _CONTROL_IP):
            pod.sidecar.daemon.stop()
            pod.sidecar.set_control(f"{host}:{XDS_PORT}")
            pod.sidecar.start()
            assert _upstream(pod)["source"] == "directory"
            assert _outside_is_answered(pod)
            wait_until(lambda: pod.sidecar.feed()["inSync"], "it is in sync", timeout=5)
            assert pod.sidecar.feed()["controlPlane"] == ADDRESS4
        assert network.dropped_service_packets() == before


def test_an_upstream_of_the_corefile_may_be_a_cluster_ip(cluster, services):
    corefile = cluster.control.corefiles / "by-cluster-ip"
    corefile.write_text(f".:53 {{\n    forward . {_DNS_IP}\n}}\n")
    try:
        with own_pod(cluster, "forwards-to-a-service") as pod:
            pod.sidecar.kill()
            pod.sidecar.start("--proxy-config=by-cluster-ip")
            wait_until(lambda: _upstream(pod).get("source") == "directory", "the endpoints are held", timeout=5)
            before = network.dropped_service_packets()
            assert _outside_is_answered(pod)
            assert network.dropped_service_packets() == before
    finally:
        corefile.unlink()

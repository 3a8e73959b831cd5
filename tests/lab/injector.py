"""portolan-injector on the node. What it knows of the cluster it has from an API server of its own
(tests/kubernetes/fake_api), and the webhook configuration by which it is asked is that of manifests/base."""

import ipaddress
from pathlib import Path

import yaml

from . import network
from .admission import Admission
from .certificates import CertificateAuthority, Secret
from .control_plane import SERVER_NAME, XDS_PORT
from .images import PORTOLAN
from .kubernetes_api import KubernetesApi
from .tools import TREE, Daemon, portolan, run

_WEBHOOK = TREE / "manifests" / "base" / "webhook.yaml"
_NAMESPACE = "portolan-system"
_ADDRESS = ("127.0.0.1", 9443)
_API_PORT = 6444
_TEMPLATE = {"image": PORTOLAN, "control-server-name": SERVER_NAME}


class Injector(Admission):
    def __init__(self, folder: Path, namespaces: list, nodes: tuple, pods_ca: CertificateAuthority):
        """pods_ca: what pods are to know the control plane by."""
        folder.mkdir(parents=True)
        # Its own, as tests replace that of the control plane.
        ca = CertificateAuthority(folder / "ca")
        secret = Secret(folder / "tls", ca, f"DNS:portolan-injector.{_NAMESPACE}.svc")
        template = folder / "injection.yaml"
        template.write_text(yaml.safe_dump(_TEMPLATE))
        super().__init__(yaml.safe_load(_WEBHOOK.read_text()), _ADDRESS, ca.file)
        self._pods_ca = pods_ca
        self.api = KubernetesApi(folder / "api", _API_PORT)
        for obj in _objects(namespaces, nodes, pods_ca):
            self.api.apply(obj)
        argv = [portolan("portolan-injector"), "--listen", "{}:{}".format(*_ADDRESS),
                "--kubeconfig", str(self.api.kubeconfig), "--tls-cert", str(secret.certificate),
                "--tls-key", str(secret.key), "--ca-file", str(pods_ca.file), "--template", str(template),
                "--namespace", _NAMESPACE]
        self.daemon = Daemon("portolan-injector", argv, folder / "portolan-injector.log")
        ready = ["curl", "-sfk", "-o", "/dev/null", "https://{}:{}/ready".format(*_ADDRESS)]
        self.daemon.wait_ready(lambda: run(ready, check=False).returncode == 0, "it is ready")

    def add_namespace(self, namespace: dict) -> None:
        self.api.apply(namespace)
        self.api.apply(_root_ca(namespace["metadata"]["name"], self._pods_ca))


def _root_ca(namespace: str, ca: CertificateAuthority) -> dict:
    return _object("v1", "ConfigMap", "kube-root-ca.crt", namespace, data={"ca.crt": ca.file.read_text()})


def _objects(namespaces: list, nodes: tuple, pods_ca: CertificateAuthority) -> list[dict]:
    """What the API server of a cluster such as the lab's has."""
    names = [namespace["metadata"]["name"] for namespace in namespaces]
    # Every node has its part of the pod ranges.
    parts = [[str(part) for part in parts] for parts in
             zip(*(ipaddress.ip_network(cidr).subnets(prefixlen_diff=1) for cidr in network.POD_CIDRS))]
    return [
        *namespaces, _object("v1", "Namespace", _NAMESPACE),
        *(_object("v1", "Node", node, spec={"podCIDR": cidrs[0], "podCIDRs": cidrs})
          for node, cidrs in zip(nodes, parts)),
        _object("networking.k8s.io/v1", "ServiceCIDR", "kubernetes", spec={"cidrs": list(network.SERVICE_CIDRS)}),
        *_slices("kube-system", "kube-dns", ("dns", "UDP", 53), network.CLUSTER_DNS4, network.CLUSTER_DNS6),
        *_slices(_NAMESPACE, "portolan-control-peers", ("xds", "TCP", XDS_PORT), network.POD_GATEWAY4,
                 network.POD_GATEWAY6),
        *(_root_ca(name, pods_ca) for name in names)]


def _object(api_version: str, kind: str, name: str, namespace: str = "", **content) -> dict:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **place}, **content}


def _slices(namespace: str, service: str, port: tuple, *addresses: str) -> list[dict]:
    """One for each family."""
    made = []
    for address in addresses:
        family = "IPv6" if ":" in address else "IPv4"
        obj = _object("discovery.k8s.io/v1", "EndpointSlice", f"{service}-{family.lower()}", namespace,
                      addressType=family, ports=[dict(zip(("name", "protocol", "port"), port))],
                      endpoints=[{"addresses": [address], "conditions": {"ready": True}}])
        obj["metadata"]["labels"] = {"kubernetes.io/service-name": service}
        made.append(obj)
    return made

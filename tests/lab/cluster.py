"""The cluster: node, cluster DNS, control plane, and pods that come and go as a kubelet makes them."""

import copy
import hashlib
import os
import shutil
import socket
from pathlib import Path
from typing import Optional, Sequence

from . import endpoints, images, manifests, network, sanitizers
from .cluster_dns import ClusterDns
from .control_plane import ControlPlane
from .injector import Injector
from .kubelet import PodContainers
from .namespaces import RUN
from .pods import Sandbox, Shape
from .sidecar import EVERY_SIDECAR, INIT, PROXY, Capture, Sidecar
from .tools import Daemon, LabError, wait_until
from .volumes import ConfigMaps, Volumes

_NODES = ("node-a", "node-b")
_INJECT = "portolan.dev/inject"
# The label of a namespace whose pods are injected.
OPTED_IN = f"{_INJECT}=enabled"


class Pod:
    """A running pod: its object in the API, its sandbox, its containers, and what was injected into it."""

    def __init__(self, obj: dict, sandbox: Sandbox, containers: PodContainers):
        self.obj, self.sandbox, self.containers = obj, sandbox, containers
        self.capture: Optional[Capture] = None
        self.sidecar: Optional[Sidecar] = None
        self.exec, self.sh, self.popen, self.talk = sandbox.exec, sandbox.sh, sandbox.popen, sandbox.talk

    @property
    def name(self) -> str:
        return self.sandbox.name

    @property
    def ip(self) -> str:
        return self.sandbox.ip

    def set_ready(self, ready: bool) -> None:
        self.obj["status"]["conditions"] = [{"type": "Ready", "status": "True" if ready else "False"}]


class Cluster:
    """One cluster in the namespaces of this process. It ends with the lab; `with` keeps its logs if asked to."""

    def __init__(self, folder: Path):
        """folder: manifests with the ConfigMap coredns; its Deployments start when asked for by deploy()."""
        self.manifests = manifests.read(folder)
        self.pods: dict[str, Pod] = {}
        self._services: dict[tuple, dict] = {}
        self._count = 0
        network.set_up()
        sanitizers.set_up()
        self.dns = ClusterDns(RUN / "cluster-dns")
        self.outside = _OutsideHost()
        self.api = endpoints.Api(RUN / "api")
        self.corefile = RUN / "Corefile"
        self.corefile.write_text(self.manifests.corefile())
        for obj in self.manifests.objects:
            if obj["kind"] in ("Namespace", "Service"):
                self.apply(obj)
        self.control = ControlPlane(self.api.folder, self.corefile, RUN / "control-plane")
        self.injector = Injector(RUN / "injector", self.manifests.kind("Namespace"), _NODES, self.control.ca)
        self.config_maps = ConfigMaps(self.injector.api, RUN / "config-maps")

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_error) -> None:
        # Nothing to stop: every process ends with the first one of the lab's pid namespace.
        keep = os.environ.get("PORTOLAN_LAB_LOGS")
        if keep:
            shutil.copytree(RUN, keep, ignore=shutil.ignore_patterns("etc", "*.socket"), dirs_exist_ok=True)
        if found := sanitizers.new_reports():
            raise LabError(found)

    def apply(self, obj: dict) -> float:
        """As `kubectl apply`. A Service with a selector gets its EndpointSlices, as the controller makes them."""
        when = self.api.apply(obj)
        if obj["kind"] == "Service" and obj["spec"].get("selector"):
            self._services[manifests.key(obj)] = obj
            self.sync_endpoints()
        return when

    def label_namespace(self, name: str, label: str) -> None:
        """As `kubectl label namespace NAME LABEL`."""
        key, value = label.split("=")
        namespace = self.manifests.one("Namespace", name)
        namespace["metadata"].setdefault("labels", {})[key] = value
        self.apply(namespace)

    def add_namespace(self, name: str, labels: dict) -> None:
        """As `kubectl create namespace`, opted in. With the ConfigMap that the API server's controller puts there."""
        key, value = OPTED_IN.split("=")
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {key: value, **labels}}}
        self.manifests.objects.append(namespace)
        self.apply(namespace)
        self.injector.add_namespace(namespace)

    def delete(self, obj: dict) -> float:
        self._services.pop(manifests.key(obj), None)
        return self.api.delete(obj)

    def deploy(self, name: str) -> list[Pod]:
        """All replicas of a Deployment of the manifests, ready and listed."""
        deployment = self.manifests.one("Deployment", name)
        return [self.add_replica(name) for _ in range(deployment["spec"]["replicas"])]

    def add_replica(self, deployment_name: str, listed: bool = True) -> Pod:
        deployment = self.manifests.one("Deployment", deployment_name)
        template = copy.deepcopy(deployment["spec"]["template"])
        digest = hashlib.sha256(f"{deployment_name} {self._count}".encode()).hexdigest()
        replica_set = hashlib.sha256(deployment_name.encode()).hexdigest()[:9]
        template["metadata"]["name"] = f"{deployment_name}-{replica_set}-{digest[:5]}"
        return self.start_pod(template, Shape(host_aliases=tuple(template["spec"].get("hostAliases", ()))), listed)

    def tools_pod(self, name: str, shape: Shape, node: str = "") -> Pod:
        """A pod that serves nothing, for running tools in it."""
        spec = {"containers": [{"name": "tools", "image": "lab/tools"}], **({"nodeName": node} if node else {})}
        return self.start_pod({"metadata": {"name": name}, "spec": spec}, shape)

    def start_pod(self, template: dict, shape: Shape, listed: bool = True, beside: Sequence[str] = ()) -> Pod:
        """Admission, sandbox, containers in the order of the spec, then Ready and listed. `beside` is a command
        that runs in the sandbox from its beginning."""
        number, self._count = self._count, self._count + 1
        obj = self._admitted(template, shape)
        metadata, spec = obj["metadata"], obj["spec"]
        # The scheduler's part.
        spec.setdefault("nodeName", _NODES[number % len(_NODES)])
        metadata["labels"]["topology.kubernetes.io/zone"] = network.zone_of(spec["nodeName"])
        sandbox = Sandbox(metadata["namespace"], metadata["name"], number, shape,
                          RUN / "pods" / f"{metadata['name']}.{number}")
        obj["status"] = {"phase": "Running", "podIP": sandbox.ip, "podIPs": [{"ip": ip} for ip in sandbox.ips],
                         "conditions": []}
        volumes = Volumes(obj, sandbox.folder / "volumes", self.config_maps, self.control.issuer)
        pod = Pod(obj, sandbox, PodContainers(obj, sandbox, volumes))
        pod.set_ready(False)
        self.pods[pod.name] = pod
        self.api.apply(pod.obj)
        if beside:
            sandbox.start("beside", beside)
        if shape.own_resolver:
            self._own_resolver(pod)
        self._start_containers(pod)
        if listed:
            self.list_pod(pod)
        return pod

    def _admitted(self, template: dict, shape: Shape) -> dict:
        """The pod as the API server stores it."""
        metadata = copy.deepcopy({"namespace": "default", "labels": {}, "annotations": {}, **template["metadata"]})
        if not shape.sidecar:
            metadata["labels"][_INJECT] = "false"
        for name, value in {**EVERY_SIDECAR, **shape.annotations}.items():
            metadata["annotations"][f"portolan.dev/{name}"] = value
        created = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        return self.injector.create(created, self.manifests.one("Namespace", metadata["namespace"]))

    def list_pod(self, pod: Pod) -> float:
        """The pod turns Ready: the moment its address appears in EndpointSlices."""
        pod.set_ready(True)
        self.api.apply(pod.obj)
        return self.sync_endpoints()

    def unlist_pod(self, pod: Pod) -> float:
        """The pod's object goes, and its address from EndpointSlices; its processes run on until stop_pod."""
        del self.pods[pod.name]
        self.api.delete(pod.obj)
        return self.sync_endpoints()

    def stop_pod(self, pod: Pod) -> None:
        if pod.name in self.pods:
            self.unlist_pod(pod)
        pod.sandbox.stop()

    def members(self, app: str) -> list[Pod]:
        return [p for p in self.pods.values() if p.obj["metadata"]["labels"].get("app") == app]

    def sync_endpoints(self) -> float:
        """Writes the EndpointSlices that follow from Services and pods; the time of the first that changed."""
        when = None
        listed = [p.obj for p in self.pods.values()]
        for service in self._services.values():
            for obj in endpoints.slices(service, listed):
                changed = self.api.apply_if_changed(obj)
                when = when or changed
        return when or 0.0

    def _start_containers(self, pod: Pod) -> None:
        for spec in pod.obj["spec"].get("initContainers", []):
            if spec["name"] in (INIT, PROXY):
                self._start_injected(pod, spec["name"])
            elif spec.get("restartPolicy") == "Always":
                pod.containers.await_startup(spec["name"], pod.containers.start(spec["name"]))
            else:
                pod.containers.run_to_end(spec["name"], check=True)
        for spec in pod.obj["spec"]["containers"]:
            daemon = pod.containers.start(spec["name"])
            for port in spec.get("ports", []):
                if port.get("protocol", "TCP") == "TCP":
                    daemon.wait_ready(lambda: accepts(pod.ip, port["containerPort"]),
                                      f"{spec['name']} accepts connections on port {port['containerPort']}")

    @staticmethod
    def _start_injected(pod: Pod, name: str) -> None:
        shape = pod.sandbox.shape
        if name == INIT:
            pod.capture = Capture(pod.containers, shape.init_flags)
            if shape.starts_injected:
                pod.capture.run("apply", check=True)
        elif shape.starts_injected:
            pod.sidecar = Sidecar(pod.containers)

    def _own_resolver(self, pod: Pod) -> None:
        pod.sandbox.start("dnsmasq", ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root",
                                      "--pid-file", "--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv",
                                      f"--server={pod.sandbox.shape.cluster_dns()}", "--cache-size=0"])
        wait_until(lambda: pod.exec("dig", "+time=1", "+tries=1", "@127.0.0.1", "example.org").returncode == 0,
                   "dnsmasq in the pod answers")


class _OutsideHost:
    """An HTTP server on a host that belongs to no cluster."""

    NAME = "outside"

    def __init__(self):
        argv = images.command("lab/http-9090", self.NAME, {}, RUN)
        daemon = Daemon(self.NAME, [*network.in_namespace("outside"), *argv], RUN / "outside.log")
        for ip in (network.OUTSIDE4, network.OUTSIDE6):
            daemon.wait_ready(lambda ip=ip: accepts(ip, 9090), f"the outside host accepts on {ip}")


def accepts(ip: str, port: int) -> bool:
    try:
        socket.create_connection((ip, port), timeout=1).close()
        return True
    except OSError:
        return False

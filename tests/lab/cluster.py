"""The cluster: node, cluster DNS, control plane, and pods that come and go as a kubelet makes them."""

import copy
import hashlib
import os
import shutil
import socket
from pathlib import Path
from typing import Optional

from . import endpoints, images, manifests, network, sanitizers
from .cluster_dns import ClusterDns
from .control_plane import ADDRESS4, ADDRESS6, ControlPlane
from .namespaces import RUN
from .pods import Sandbox, Shape
from .sidecar import Capture, Settings, Sidecar
from .tools import Daemon, LabError, wait_until

_NODES = ("node-a", "node-b")


class Pod:
    """A running pod: its object in the API, its sandbox, and what was injected into it."""

    def __init__(self, obj: dict, sandbox: Sandbox):
        self.obj, self.sandbox = obj, sandbox
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

    def start_pod(self, template: dict, shape: Shape, listed: bool = True) -> Pod:
        """Sandbox, init container, sidecar until ready, application until it listens, then Ready and listed."""
        number, self._count = self._count, self._count + 1
        metadata = {"namespace": "default", "labels": {}, **template["metadata"]}
        sandbox = Sandbox(metadata["namespace"], metadata["name"], number, shape,
                          RUN / "pods" / f"{metadata['name']}.{number}")
        pod = Pod({"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
                   "spec": {"nodeName": _NODES[number % len(_NODES)], **template["spec"]},
                   "status": {"phase": "Running", "podIP": sandbox.ip,
                              "podIPs": [{"ip": ip} for ip in sandbox.ips], "conditions": []}}, sandbox)
        pod.set_ready(False)
        self.pods[pod.name] = pod
        self.api.apply(pod.obj)
        if shape.own_resolver:
            self._own_resolver(pod)
        if shape.sidecar:
            pod.capture = Capture(sandbox, shape.capture)
            pod.capture.run("apply", check=True)
            pod.sidecar = Sidecar(sandbox, Settings(ADDRESS4, ADDRESS6, self.control.ca.file, self.control.issuer,
                                                     self.corefile),
                                  pod.obj["spec"]["nodeName"])
        for container in template["spec"]["containers"]:
            self._start_container(pod, container)
        if listed:
            self.list_pod(pod)
        return pod

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

    def _start_container(self, pod: Pod, container: dict) -> None:
        environment = {e["name"]: e["value"] for e in container.get("env", [])}
        folder = pod.sandbox.folder / container["name"]
        folder.mkdir()
        argv = images.command(container["image"], pod.name, environment, folder)
        # An application does not hold NET_ADMIN: it cannot take the pod's rules away.
        daemon = pod.sandbox.start(container["name"], ["setpriv", "--bounding-set=-net_admin", *argv], environment)
        for port in container.get("ports", []):
            if port.get("protocol", "TCP") == "TCP":
                daemon.wait_ready(lambda: accepts(pod.ip, port["containerPort"]),
                                  f"{container['name']} accepts connections on port {port['containerPort']}")

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

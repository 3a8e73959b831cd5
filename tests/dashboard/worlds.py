"""Clusters for the dashboard's tests, each with its own portolan-control on free ports of this machine."""

import json
import os
import urllib.request
from pathlib import Path

from lab.tools import PYTHON, TREE, Daemon, free_port, portolan, sanitized

POD = "shop/frontend-6b8d5c9f7d-x2x4k"


class Control:
    """portolan-control, with the API at `base`; it may be stopped and started again."""

    def __init__(self, folder: Path, source: str):
        self._folder = folder
        self.xds = f"127.0.0.1:{free_port()}"
        self.http = f"127.0.0.1:{free_port()}"
        self._argv = [portolan("portolan-control"), "--source", source, "--xds-listen", self.xds, "--xds-insecure",
                      "--http-listen", self.http, "--status-listen", f"127.0.0.1:{free_port()}"]
        self.start()

    @property
    def base(self) -> str:
        return f"http://{self.http}"

    def start(self) -> None:
        self.daemon = Daemon("portolan-control", self._argv, self._folder / "control.log")
        self.daemon.wait_ready(self.reads_all, "everything was read", timeout=60 if not sanitized() else 300)

    def get(self, path: str):
        with urllib.request.urlopen(f"{self.base}/api/v1/{path}", timeout=10) as answer:
            return json.load(answer)

    def reads_all(self) -> bool:
        try:
            return self.get("status")["ready"]
        except OSError:
            return False


def service(namespace: str, name: str, cluster_ip: str, **spec) -> dict:
    ports = spec.pop("ports", [{"name": "http", "port": 8080, "protocol": "TCP"}])
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": {"namespace": namespace, "name": name, "labels": {"app": name, "tier": namespace}},
            "spec": {"type": "ClusterIP", "clusterIP": cluster_ip, "clusterIPs": [cluster_ip], "ports": ports, **spec}}


def slice_of(namespace: str, name: str, ready: list[str], not_ready: list[str] = (), **more) -> dict:
    def endpoint(number: int, address: str, is_ready: bool) -> dict:
        return {"addresses": [address], "conditions": {"ready": is_ready, "serving": is_ready, "terminating": False},
                "nodeName": f"node-{number % 3}", "zone": f"zone-{'abc'[number % 3]}",
                "targetRef": {"kind": "Pod", "namespace": namespace, "name": f"{name}-7c9b5d8f6c-{number:05x}"}, **more}

    listed = [*((address, True) for address in ready), *((address, False) for address in not_ready)]
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"namespace": namespace, "name": f"{name}-x7k2p", "labels": {"kubernetes.io/service-name": name}},
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [endpoint(number, *one) for number, one in enumerate(listed)]}


def pod(namespace: str, name: str, ip: str, labels: dict | None = None) -> dict:
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": namespace, "name": name, "labels": labels or {}},
            "spec": {"nodeName": "node-0", "containers": [{"name": "app", "image": "app"}]},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}}


class Small:
    def __init__(self, folder: Path):
        self._beside, self._manifests = folder, folder / "cluster"
        self._manifests.mkdir()
        for namespace in ("default", "shop", "data"):
            self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        for number, name in enumerate(("backend", "cart", "checkout", "frontend", "search")):
            self.apply(service("shop", name, f"10.96.0.{10 + number}"))
            self.apply(slice_of("shop", name, [f"10.42.{number}.{last}" for last in range(2, 5)]))
        self.apply(service("data", "redis", "None", ports=[{"name": "redis", "port": 6379, "protocol": "TCP"}]))
        self.apply(slice_of("data", "redis", ["10.42.9.2", "10.42.9.3"], ["10.42.9.4"]))
        self.apply(service("data", "orphan", "10.96.0.30"))
        self.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "data", "name": "mail"},
                    "spec": {"type": "ExternalName", "externalName": "smtp.example.com"}})
        (folder / "resolv.conf").write_text("nameserver 127.0.0.53\nsearch shop.svc.cluster.local svc.cluster.local "
                                            "cluster.local\noptions ndots:5\n")
        self.control = Control(folder, f"files:{self._manifests}")
        self.base = self.control.base
        self.dns_port = free_port()
        self._sidecar = Daemon("portolan-proxy", [
            portolan("portolan-proxy"), "--control", self.control.xds, "--control-insecure", "--node", POD,
            "--pod-ip", "127.0.0.1", "--resolv-conf", str(folder / "resolv.conf"), "--dns-listen",
            f"127.0.0.1:{self.dns_port}", "--forward-listen", f"127.0.0.1:{free_port()}", "--admin-listen",
            f"127.0.0.1:{free_port()}", "--status-listen", f"127.0.0.1:{free_port()}"], folder / "sidecar.log")
        self._sidecar.wait_ready(lambda: any(it.get("report") for it in self.control.get("sidecars")["sidecars"]),
                                 "the sidecar has reported", timeout=20)

    def apply(self, obj: dict) -> None:
        metadata = obj["metadata"]
        file = self._file(obj["kind"], metadata.get("namespace", ""), metadata["name"])
        # JSON is YAML. Renamed into the folder, so that it is read whole.
        (self._beside / file.name).write_text(json.dumps(obj))
        (self._beside / file.name).rename(file)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        self._file(kind, namespace, name).unlink()

    def _file(self, kind: str, namespace: str, name: str) -> Path:
        return self._manifests / f"{kind}-{namespace}-{name}.yaml".lower()

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self._sidecar.stop()
        self.control.daemon.stop()


class Large:
    def __init__(self, folder: Path, services: int, endpoints: int):
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        self._api = Daemon("fake_api", [PYTHON, "-B", "-m", "tests.kubernetes.fake_api", "--listen",
                                        f"127.0.0.1:{port}", "--synthetic", f"services={services},endpoints={endpoints}"],
                           folder / "api.log", {**os.environ, "PYTHONPATH": str(TREE)})
        self._api.wait_ready(lambda: self._answers("/version"), "the API server answers", timeout=60)
        (folder / "kubeconfig").write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "large",
            "contexts": [{"name": "large", "context": {"cluster": "large", "user": "large"}}],
            "clusters": [{"name": "large", "cluster": {"server": self._url}}], "users": [{"name": "large", "user": {}}]}))
        self.control = Control(folder, f"kubernetes:{folder / 'kubeconfig'}")
        self.base = self.control.base

    def _answers(self, path: str) -> bool:
        try:
            urllib.request.urlopen(self._url + path, timeout=2).close()
            return True
        except OSError:
            return False

    def set_ready(self, namespace: str, slice_name: str, ready: bool) -> None:
        """Of all endpoints of the slice."""
        path = f"{self._url}/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/{slice_name}"
        with urllib.request.urlopen(path, timeout=10) as answer:
            obj = json.load(answer)
        for endpoint in obj["endpoints"]:
            endpoint["conditions"] = {"ready": ready, "serving": ready, "terminating": False}
        request = urllib.request.Request(path, json.dumps(obj).encode(), {"Content-Type": "application/json"},
                                         method="PUT")
        urllib.request.urlopen(request, timeout=10).close()

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.control.daemon.stop()
        self._api.stop()

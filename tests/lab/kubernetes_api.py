"""The lab's cluster behind an API server (tests/kubernetes/fake_api) in the place of a folder of manifests.

It takes and gives the same as `endpoints.Api`, so that a cluster may change from one to the other as it runs.
"""

import http.client
import json
import os
import ssl
import time
from pathlib import Path
from typing import Optional

import yaml

from .certificates import CertificateAuthority, Secret
from .endpoints import Api
from .manifests import key
from .tools import PYTHON, TREE, Daemon, LabError

_PORT = 6443
_COLLECTIONS = {"Namespace": "/api/v1/namespaces", "Node": "/api/v1/nodes",
                "ServiceCIDR": "/apis/networking.k8s.io/v1/servicecidrs",
                "ConfigMap": "/api/v1/namespaces/{}/configmaps", "Service": "/api/v1/namespaces/{}/services", "Pod": "/api/v1/namespaces/{}/pods",
                "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices",
                "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
                "DNSEgressPolicy": "/apis/portolan.dev/v1alpha1/namespaces/{}/dnsegresspolicies",
                "ServiceImport": "/apis/multicluster.x-k8s.io/v1alpha1/namespaces/{}/serviceimports"}


class KubernetesApi:
    def __init__(self, folder: Path, port: int = _PORT):
        folder.mkdir(exist_ok=True)
        self._folder, self._port = folder, port
        ca = CertificateAuthority(folder / "ca")
        self._secret = Secret(folder / "tls", ca, "IP:127.0.0.1")
        self._context = ssl.create_default_context(cafile=str(ca.file))
        self._objects: dict[tuple, dict] = {}
        self._version = 1000
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "lab",
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
            "clusters": [{"name": "lab", "cluster": {"server": f"https://127.0.0.1:{port}",
                                                     "certificate-authority": str(ca.file)}}],
            "users": [{"name": "lab", "user": {"token": "lab"}}]}))
        self.daemon: Daemon
        self.start()

    @property
    def source(self) -> str:
        return f"kubernetes:{self.kubeconfig}"

    def take_over(self, files: Api) -> None:
        """The objects of a folder of manifests."""
        for file in sorted(files.folder.iterdir()):
            self.apply(yaml.safe_load(file.read_text()))

    # --- As endpoints.Api ---

    def apply(self, obj: dict) -> float:
        namespace = obj["metadata"].get("namespace", "")
        if namespace and ("Namespace", "", namespace) not in self._objects:
            self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        known = key(obj) in self._objects
        before = time.monotonic()
        self._ask("PUT" if known else "POST", self._path(obj, named=known), obj)
        # A copy: callers go on to change theirs.
        self._objects[key(obj)] = json.loads(json.dumps(obj))
        return before

    def apply_if_changed(self, obj: dict) -> Optional[float]:
        return None if self._objects.get(key(obj)) == obj else self.apply(obj)

    def delete(self, obj: dict) -> float:
        before = time.monotonic()
        if self._objects.pop(key(obj), None) is not None:
            self._ask("DELETE", self._path(obj, named=True))
        return before

    def get(self, obj: dict) -> dict:
        """As the API server has it."""
        return self._ask("GET", self._path(obj, named=True))

    def config_map(self, namespace: str, name: str) -> Optional[dict]:
        """Its data; nothing if there is none."""
        items = self._ask("GET", _COLLECTIONS["ConfigMap"].format(namespace))["items"]
        return next((item["data"] for item in items if item["metadata"]["name"] == name), None)

    def objects(self) -> list[dict]:
        return list(self._objects.values())

    # --- What befalls an API server ---

    def start(self, *flags: str) -> None:
        """Also after kill: etcd has kept the objects, and the memory of what led to them is gone."""
        load = self._folder / "objects.json"
        load.write_text(json.dumps(list(self._objects.values())))
        argv = [PYTHON, "-B", "-m", "tests.kubernetes.fake_api", "--listen", f"127.0.0.1:{self._port}", "--tls-cert",
                str(self._secret.certificate), "--tls-key", str(self._secret.key), "--load", str(load),
                "--first-version", str(self._version), "--bookmark-interval", "2", *flags]
        self.daemon = Daemon("fake-api", argv, self._folder / "fake-api.log",
                             {**os.environ, "PYTHONPATH": str(TREE)})
        self.daemon.wait_ready(self._answers, "it answers")

    def kill(self) -> None:
        self._version = self.state()["resourceVersion"] + 1000
        self.daemon.kill()

    def fake(self, action: str, **value) -> dict:
        return self._ask("POST", f"/fake/{action}", value)

    def state(self) -> dict:
        return self._ask("GET", "/fake/state")

    def _answers(self) -> bool:
        try:
            self.state()
            return True
        except OSError:
            return False

    @staticmethod
    def _path(obj: dict, named: bool) -> str:
        path = _COLLECTIONS[obj["kind"]].format(obj["metadata"].get("namespace", ""))
        return f"{path}/{obj['metadata']['name']}" if named else path

    def _ask(self, method: str, path: str, value: Optional[dict] = None) -> dict:
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=30, context=self._context)
        try:
            connection.request(method, path, json.dumps(value) if value is not None else None,
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise LabError(f"{method} {path}: {answer.status}: {body.decode()}")
        return json.loads(body)

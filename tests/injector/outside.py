"""Injectors as they run in a cluster, seen from outside: real processes, an API server (tests/kubernetes/fake_api), and
a client that asks for reviews as an API server does, trusting what the webhook configuration says at that moment."""

import base64
import http.client
import json
import os
import socket
import ssl
import threading
import time
from pathlib import Path

import yaml
from lab.tools import PYTHON, TREE, Daemon, free_port, portolan, wait_until

NAMESPACE = "portolan-system"
SERVER_NAME = f"portolan-injector.{NAMESPACE}.svc"
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
CONFIGURATION = f"{WEBHOOKS}/portolan-injector"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
_SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"


class Api:
    """An API server with what an injector finds in a cluster on which Portolan was installed."""

    def __init__(self, folder: Path, *flags: str):
        self._folder, self._flags = folder, flags
        self.port = free_port()
        self.daemon = None
        self.start()
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "test", "user": {"token": "test"}}]}))
        for name in (NAMESPACE, "kube-system", "shop"):
            self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        self.apply_webhooks()
        self.ask("POST", "/apis/networking.k8s.io/v1/servicecidrs",
                 {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/16"]}})
        self.ask("POST", "/api/v1/nodes", {"metadata": {"name": "node-1"}, "spec": {"podCIDR": "10.42.0.0/24"}})
        for namespace, service, port, protocol in ((NAMESPACE, "portolan-control-peers", 15012, "TCP"),
                                                   ("kube-system", "kube-dns", 53, "UDP")):
            self.ask("POST", _SLICES.format(namespace), {
                "metadata": {"name": service, "labels": {"kubernetes.io/service-name": service}},
                "addressType": "IPv4", "ports": [{"name": "", "port": port, "protocol": protocol}],
                "endpoints": [{"addresses": ["10.42.0.7"], "conditions": {"ready": True}}]})

    def start(self) -> None:
        argv = [PYTHON, "-B", "-m", "tests.kubernetes.fake_api", "--listen", f"127.0.0.1:{self.port}", *self._flags]
        self.daemon = Daemon("fake-api", argv, self._folder / "fake-api.log", {**os.environ, "PYTHONPATH": str(TREE)})
        self.daemon.wait_ready(self._answers, "it answers")

    def _answers(self) -> bool:
        try:
            return self.ask("GET", "/fake/state") is not None
        except OSError:
            return False

    def apply_webhooks(self) -> None:
        """As `kubectl replace` would: without a caBundle."""
        value = {"metadata": {"name": "portolan-injector"}, "webhooks": [
            {"name": f"{name}.inject.portolan.dev",
             "clientConfig": {"service": {"name": "portolan-injector", "namespace": NAMESPACE, "path": "/inject"}}}
            for name in ("namespace", "pod", "annotation")]}
        there = self.ask("GET", CONFIGURATION, missing_ok=True) is not None
        self.ask("PUT" if there else "POST", CONFIGURATION if there else WEBHOOKS, value)

    def ask(self, method: str, path: str, value=None, missing_ok: bool = False):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, json.dumps(value) if value is not None else None,
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status == 404 and missing_ok:
            return None
        assert answer.status < 300, f"{method} {path}: {answer.status}: {body.decode()}"
        return json.loads(body)

    def bundle(self) -> str:
        """What is trusted of all the webhooks."""
        bundles = [webhook["clientConfig"].get("caBundle", "") for webhook in self.ask("GET", CONFIGURATION)["webhooks"]]
        return base64.b64decode(bundles[0]).decode() if len(set(bundles)) == 1 else ""

    def secret(self, name: str) -> dict[str, str]:
        found = self.ask("GET", f"{SECRETS}/{name}", missing_ok=True)
        return {} if found is None else {key: base64.b64decode(value).decode(errors="replace")
                                         for key, value in found["data"].items()}

    def spoil(self, name: str) -> None:
        """All values of a Secret become rubbish."""
        secret = self.ask("GET", f"{SECRETS}/{name}")
        secret["data"] = {key: base64.b64encode(b"rubbish").decode() for key in secret["data"]}
        self.ask("PUT", f"{SECRETS}/{name}", secret)


class Injector:
    def __init__(self, folder: Path, api: Api, name: str, *flags: str):
        template = folder / "injection.yaml"
        if not template.exists():
            template.write_text("image: portolan:0.1.0\n")
        self.port = free_port()
        argv = [portolan("portolan-injector"), "--listen", f"127.0.0.1:{self.port}", "--template", str(template),
                "--namespace", NAMESPACE, "--kubeconfig", str(api.kubeconfig), "--drain-time", "1s", *flags]
        self.daemon = Daemon(name, argv, folder / f"{name}.log")

    def get(self, path: str) -> tuple[int, str]:
        """As a kubelet probes: whatever the certificate."""
        status, body = ask(self.port, ssl._create_unverified_context(), "GET", path)
        return status, body

    def ready(self) -> bool:
        try:
            return self.get("/ready")[0] == 200
        except OSError:
            return False

    def wait_ready(self) -> "Injector":
        self.daemon.wait_ready(self.ready, "it is ready")
        return self


def ask(port: int, context: ssl.SSLContext, method: str, path: str, body=None) -> tuple[int, str]:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        with context.wrap_socket(plain, server_hostname=SERVER_NAME) as secured:
            connection = http.client.HTTPConnection("127.0.0.1")
            connection.sock = secured
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()


def review(name: str = "web") -> str:
    """Of a pod that its label opts in."""
    return json.dumps({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "c0ffee", "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"}, "namespace": "shop", "operation": "CREATE",
        "dryRun": False, "object": {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"portolan.dev/inject": "true"}},
            "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]}}}})


def trusting(bundle: str, strict: bool = True) -> ssl.SSLContext:
    """Strict: whatever RFC 5280 wants of a certificate, and openssl's own command does not give it."""
    context = ssl.create_default_context(cadata=bundle)
    if strict:
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


class Reviewer:
    """Asks for one review after the other, on a connection of its own each, of each replica in turn. A replica that
    does not take connections is one that a Service no longer leads to; whatever else goes wrong is a failure."""

    def __init__(self, api: Api, ports: list[int]):
        self._api, self.ports = api, ports
        self.done, self.failures, self.certificates = 0, [], set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(10)

    def _run(self) -> None:
        number = 0
        while not self._over.is_set():
            number += 1
            ports = list(self.ports)
            try:
                bundle = self._api.bundle()
                status, body = ask(ports[number % len(ports)], trusting(bundle), "POST", "/inject?timeout=5s", review())
                if status != 200 or not json.loads(body)["response"]["allowed"]:
                    self.failures.append(f"{status}: {body[:300]}")
                self.done += 1
            except ConnectionRefusedError:
                self.failures.append("a replica of the Service refused")
            except (OSError, ValueError, http.client.HTTPException) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
            time.sleep(0.005)


def eventually(condition, what: str, timeout: float = 15) -> None:
    wait_until(condition, what, timeout)

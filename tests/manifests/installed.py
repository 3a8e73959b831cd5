"""Our programs as their Deployments start them, at the tests' API server in the place of a kubelet's mounts."""

import http.client
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple, Optional, Sequence

import yaml

from lab.tokens import TokenIssuer
from lab.tools import TREE, Daemon, portolan
from objects import NAMESPACE, Objects
from roles import Request

WEBHOOK = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/portolan-injector"
_INJECTOR_POD = "portolan-injector-0"
_PATIENCE = 30  # seconds: sanitizers are slow


class Programs:
    """What a test has started; nothing outlives it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._running: list[Daemon] = []

    def start(self, name: str, argv: Sequence[str], environment: Optional[dict] = None) -> Daemon:
        self._running.append(Daemon(name, argv, self.folder / f"{len(self._running)}-{name}.log", environment))
        return self._running[-1]

    def end(self) -> None:
        for daemon in self._running:
            daemon.kill()


class FakeApi:
    """tests/kubernetes/fake_api, and what it was asked."""

    def __init__(self, programs: Programs, *flags: str):
        argv = [sys.executable, "-B", "-m", "tests.kubernetes.fake_api", "--listen", "127.0.0.1:0", *flags]
        daemon = programs.start("fake-api", argv, {**os.environ, "PYTHONPATH": str(TREE)})
        daemon.wait_ready(lambda: "listening on" in daemon.log.read_text(), "it listens", _PATIENCE)
        self.port = int(daemon.log.read_text().split("listening on", 1)[1].split()[0])
        self.kubeconfig = daemon.log.with_suffix(".kubeconfig")
        self.kubeconfig.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "test", "user": {}}]}))

    def ask(self, method: str, path: str, value: Optional[object] = None):
        status, body = self._ask(method, path, value)
        assert status < 300, f"{method} {path}: {status}: {body.decode()}"
        return json.loads(body)

    def exists(self, path: str) -> bool:
        return self._ask("GET", path, None)[0] == 200

    def _ask(self, method: str, path: str, value: Optional[object]) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, path, None if value is None else json.dumps(value))
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body

    def asked_by(self, program: str) -> set[Request]:
        return {Request(*words) for agent, *words in self.ask("GET", "/fake/asked")
                if agent.startswith(f"{program}/")}


def arguments(objects: Objects, deployment: str, mounted: dict[str, Path]) -> list[str]:
    """Of its container; `mounted`: what a kubelet would have put where, by the name of the volume."""
    [container] = objects[f"Deployment {NAMESPACE}/{deployment}"]["spec"]["template"]["spec"]["containers"]
    words = container["args"]
    for mount in container["volumeMounts"]:
        words = [word.replace(f"={mount['mountPath']}", f"={mounted[mount['name']]}") for word in words]
    return [portolan(Path(container["command"][0]).name), *words]


def write_config_map(objects: Objects, name: str, folder: Path) -> Path:
    folder.mkdir()
    for key, text in objects[f"ConfigMap {NAMESPACE}/{name}"]["data"].items():
        (folder / key).write_text(text)
    return folder


def cluster(objects: Objects, file: Path) -> Path:
    """The objects of an installation, the pod that the injector is, and a namespace beside, for FakeApi --load."""
    of_us = [obj for name, obj in objects.items()
             if not name.startswith("Namespace ") and "cert-manager.io/" not in obj["apiVersion"]]
    template = objects[f"Deployment {NAMESPACE}/portolan-injector"]["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": _INJECTOR_POD, "namespace": NAMESPACE},
           "spec": template["spec"]}
    namespaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
                  for name in (NAMESPACE, "kube-system", "shop")]
    file.write_text(json.dumps([*namespaces, *of_us, pod]))
    return file


def start_injector(objects: Objects, programs: Programs, api: FakeApi, mounted: dict[str, Path]) -> int:
    """Its port, once pods of the namespace shop would have the CA."""
    argv = [*arguments(objects, "portolan-injector", mounted), "--kubeconfig", str(api.kubeconfig),
            "--listen", "127.0.0.1:0"]
    injector = programs.start("portolan-injector", argv,
                              {**os.environ, "POD_NAME": _INJECTOR_POD, "POD_NAMESPACE": NAMESPACE})
    injector.wait_ready(lambda: api.exists("/api/v1/namespaces/shop/configmaps/portolan-ca"), "pods have its CA",
                        _PATIENCE)
    return int(injector.log.read_text().split("webhook on 127.0.0.1:", 1)[1].split(",")[0])


class Control(NamedTuple):
    """Its ports."""
    xds: int
    api: int


def start_control(objects: Objects, programs: Programs, api: FakeApi, tls: Path, *flags: str) -> Control:
    """Once it serves sidecars."""
    mounted = {"tls": tls, "corefiles": write_config_map(objects, "portolan-corefiles", tls.parent / "corefiles"),
               "ca": tls, "peer-token": tls}
    # Several of them listen on this machine.
    argv = [word.replace("--source=kubernetes", f"--source=kubernetes:{api.kubeconfig}")
            for word in arguments(objects, "portolan-control", mounted) if not word.startswith("--peer-listen")]
    control = programs.start("portolan-control", [*argv, "--xds-listen=127.0.0.1:0", "--status-listen=127.0.0.1:0",
                                                  "--http-listen=127.0.0.1:0", "--peer-listen=127.0.0.1:0", *flags])
    control.wait_ready(lambda: "xDS on" in control.log.read_text(), "it serves", _PATIENCE)
    log = control.log.read_text()
    return Control(int(log.split("xDS on 127.0.0.1:", 1)[1].split(",")[0]),
                   int(log.split("API on 127.0.0.1:", 1)[1].split()[0]))


def start_sidecar(programs: Programs, api: FakeApi, port: int, ca: Path, folder: Path, *flags: str) -> Daemon:
    """Of the pod shop/web, with a token that the API server knows; `port`: of the control plane."""
    token = TokenIssuer(folder).token("shop", "web")
    (folder / "token").write_text(token)
    api.ask("POST", "/fake/tokens", {token: {"audiences": ["portolan"], "user": {
        "username": "system:serviceaccount:shop:default",
        "extra": {"authentication.kubernetes.io/pod-name": ["web"],
                  "authentication.kubernetes.io/pod-uid": ["uid-of-web"]}}}})
    return programs.start("portolan-proxy", [
        portolan("portolan-proxy"), "--node", "shop/web", "--pod-ip", "10.42.0.1", "--control", f"127.0.0.1:{port}",
        "--control-ca", str(ca), "--control-token", str(folder / "token"), "--dns-listen", "127.0.0.1:0",
        "--forward-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--status-listen", "127.0.0.1:0",
        "--concurrency", "1", *flags])

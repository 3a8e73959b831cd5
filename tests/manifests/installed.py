"""Our programs as their Deployments start them, at the tests' API server in the place of a kubelet's mounts."""

import http.client
import json
import os
import sys
from pathlib import Path
from typing import Optional, Sequence

import yaml

from lab.tools import TREE, Daemon, portolan
from objects import NAMESPACE, Objects
from roles import Request


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
        argv = [sys.executable, "-B", "-u", "-m", "tests.kubernetes.fake_api", "--listen", "127.0.0.1:0", *flags]
        daemon = programs.start("fake-api", argv, {**os.environ, "PYTHONPATH": str(TREE)})
        daemon.wait_ready(lambda: "listening on" in daemon.log.read_text(), "it listens")
        self.port = int(daemon.log.read_text().split("listening on", 1)[1].split()[0])
        self.kubeconfig = daemon.log.with_suffix(".kubeconfig")
        self.kubeconfig.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "test", "user": {}}]}))

    def ask(self, method: str, path: str, value: Optional[object] = None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, path, None if value is None else json.dumps(value))
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        assert answer.status < 300, f"{method} {path}: {answer.status}: {body.decode()}"
        return json.loads(body)

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

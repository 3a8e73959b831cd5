"""The kubelet: runs the containers of a pod in its sandbox as their spec says, in the order of the spec.

What is imitated: order, native sidecars and their startup probes, command, arguments and environment, user and
groups, capabilities, privilege escalation, a read-only root, volumes. What a container is not given here is in
container.py; resources, other probes and lifecycle hooks are left out, and a probe asks 50 times a second.
"""

import os
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from . import images, sanitizers
from .container import CAPABILITIES, DEFAULT_CAPABILITIES, Container, Mount
from .namespaces import RUN
from .pods import Sandbox
from .tools import Daemon, LabError, run
from .volumes import Volumes, field

_PLACE = RUN / "rootfs"
# Fresh in each container, and writable though its root is not.
_RUNTIME_MOUNTS = (Mount("/dev", "/dev"),)


@dataclass(frozen=True)
class Page:
    """An answer over HTTP; status 0 when there was none."""

    status: int
    body: str


class PodContainers:
    """The containers of one pod, by name."""

    def __init__(self, pod: dict, sandbox: Sandbox, volumes: Volumes):
        self._pod, self.sandbox, self.volumes = pod, sandbox, volumes
        _PLACE.mkdir(exist_ok=True)

    def spec(self, name: str) -> Optional[dict]:
        every = [*(self._pod["spec"].get("initContainers") or []), *self._pod["spec"]["containers"]]
        return next((spec for spec in every if spec["name"] == name), None)

    def run_to_end(self, name: str, arguments: Optional[list] = None, check: bool = False):
        """As an init container. arguments: in place of the spec's."""
        spec = self.spec(name)
        container = self._container(spec if arguments is None else {**spec, "args": arguments})
        return run(self.sandbox.command(container.command()), check=check)

    def start(self, name: str, flags: tuple = (), before: tuple = (), limits: tuple = ()) -> Daemon:
        """flags: in place of the same ones of the spec; a further --control is one more. before: what goes before
        the command, in the container. limits: prlimit or so, with the rights of a container runtime."""
        spec = self.spec(name)
        if before or flags:
            spec = {**spec, "command": [*before, *spec["command"]], "args": [*_without(spec["args"], flags), *flags]}
        return self.sandbox.start(name, [*limits, *self._container(spec).command()])

    def page(self, path: str, port: int) -> Page:
        """As the kubelet's probes and Prometheus ask: from the node, by the pod's address."""
        ip = f"[{self.sandbox.ip}]" if ":" in self.sandbox.ip else self.sandbox.ip
        try:
            with urllib.request.urlopen(f"http://{ip}:{port}{path}", timeout=2) as answer:
                return Page(answer.status, answer.read().decode())
        except urllib.error.HTTPError as error:
            return Page(error.code, error.read().decode())
        except OSError as error:
            return Page(0, str(error))

    def await_startup(self, name: str, daemon: Daemon) -> None:
        """Until the startup probe passes, for as long as it may take by its own words."""
        spec = self.spec(name)
        probe = spec.get("startupProbe")
        if not probe:
            return
        path, port = probe["httpGet"]["path"], _port(spec, probe["httpGet"]["port"])
        limit = probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3)
        daemon.wait_ready(lambda: 200 <= self.page(path, port).status < 400,
                          f"its startup probe {path} on {port} passes", timeout=limit)

    def _container(self, spec: dict) -> Container:
        image = images.find(spec["image"])
        environment = _environment(spec, self._pod)
        folder = self.sandbox.folder / spec["name"]
        folder.mkdir(exist_ok=True)
        argv = [_expanded(word, environment) for word in [*spec.get("command", []), *spec.get("args", [])]]
        if not argv:
            argv = image.entrypoint(self.sandbox.name, environment, folder)
        security = _security(self._pod["spec"].get("securityContext") or {}, spec.get("securityContext") or {}, image)
        mounts = [*_RUNTIME_MOUNTS, *image.mounts, *sanitizers.mounts()]
        mounts += [Mount(str(self.volumes.folder(mount["name"])), mount["mountPath"], mount.get("readOnly", False))
                   for mount in spec.get("volumeMounts") or []]
        environment = {**image.environment, "HOSTNAME": self.sandbox.name, **environment, **sanitizers.environment()}
        return Container(argv, environment, mounts=mounts, place=str(_PLACE), **security)


def _security(pod: dict, own: dict, image: images.Image) -> dict:
    """https://kubernetes.io/docs/tasks/configure-pod-container/security-context/"""
    merged = {**pod, **own}
    uid = merged.get("runAsUser", image.user)
    if merged.get("runAsNonRoot") and uid == 0:
        raise LabError("container has runAsNonRoot and image will run as root")
    capabilities = own.get("capabilities") or {}
    dropped = capabilities.get("drop") or []
    kept = set() if "ALL" in dropped else set(DEFAULT_CAPABILITIES) - {CAPABILITIES[name] for name in dropped}
    kept |= {CAPABILITIES[name] for name in capabilities.get("add") or []}
    return {"uid": uid, "gid": merged.get("runAsGroup", image.user), "groups": pod.get("supplementalGroups") or [],
            "capabilities": sorted(kept), "allow_privilege_escalation": own.get("allowPrivilegeEscalation", True),
            "read_only_root": own.get("readOnlyRootFilesystem", False)}


def _environment(spec: dict, pod: dict) -> dict:
    values: dict[str, str] = {}
    for entry in spec.get("env") or []:
        if "valueFrom" in entry:
            values[entry["name"]] = field(pod, entry["valueFrom"]["fieldRef"]["fieldPath"])
        else:
            values[entry["name"]] = _expanded(entry.get("value", ""), values)
    return values


def _expanded(text: str, environment: dict) -> str:
    """$(NAME); $$ is a dollar sign, and what is not known stays as it is."""
    def value(match: re.Match) -> str:
        return "$" if match.group(0) == "$$" else environment.get(match.group(1), match.group(0))

    return re.sub(r"\$\$|\$\(([A-Za-z_.-][A-Za-z0-9_.-]*)\)", value, text)


def _without(arguments: list, flags: tuple) -> list:
    """The arguments, less those that the flags replace. A flag and its value are two words or one with `=`."""
    replaced = {word.split("=")[0] for word in flags if word.startswith("--")} - {"--control"}
    kept, value_follows = [], False
    for word in arguments:
        if value_follows:
            value_follows = False
        elif word.split("=")[0] in replaced:
            value_follows = "=" not in word
        else:
            kept.append(word)
    return kept


def _port(spec: dict, port) -> int:
    """A number, or the name of a container's port."""
    if isinstance(port, int):
        return port
    return next(p["containerPort"] for p in spec.get("ports") or [] if p.get("name") == port)

"""What the injector adds to a pod, for tests: the init container with its rules, and the sidecar."""

import json
import os
import re
from pathlib import Path

from .kubelet import Page, PodContainers
from .tools import Daemon

UID = 1337
HTTP_PORT = 15020
INIT, PROXY = "portolan-init", "portolan-proxy"
# In the container, as the injector mounts them.
STATE_DIR = "/var/lib/portolan"
TOKEN = "/var/run/secrets/portolan/token"
# Annotations of all injected pods of a lab, such as `endpoints=eager`.
EVERY_SIDECAR = dict(word.split("=", 1) for word in os.environ.get("PORTOLAN_LAB_ANNOTATIONS", "").split())


class Capture:
    """The init container: the pod's iptables rules."""

    def __init__(self, containers: PodContainers, options: tuple = ()):
        """options: more flags, which the injector does not give."""
        self._containers, self.sandbox = containers, containers.sandbox
        self._arguments = [*containers.spec(INIT)["args"][1:], *options]

    def run(self, verb: str, *more: str, check: bool = False):
        """verb is apply, as the kubelet runs it, or verify or clean."""
        return self._containers.run_to_end(INIT, [verb, *self._arguments, *more], check)

    def rules(self) -> list[str]:
        """Every rule of the pod, in both families and back ends, as the command that would append it."""
        commands = []
        for program in ("iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy"):
            table = ""
            for line in self.sandbox.exec(f"{program}-save").stdout.splitlines():
                if line.startswith("*"):
                    table = line[1:]
                elif line.startswith("-A"):
                    commands.append(f"{program} -t {table} {line}")
        return commands


class Sidecar:
    """portolan-proxy in a pod, as a native sidecar container runs it."""

    def __init__(self, containers: PodContainers):
        self._containers, self._sandbox = containers, containers.sandbox
        volumes = {mount["mountPath"]: mount["name"] for mount in containers.spec(PROXY)["volumeMounts"]}
        self.state_dir = containers.volumes.folder(volumes[STATE_DIR])
        self.token = containers.volumes.tokens[volumes[os.path.dirname(TOKEN)]]
        self.daemon: Daemon
        self.start()

    def start(self, *flags: str, before: tuple = (), limits: tuple = ()) -> None:
        """flags: what no annotation says, or not now; the rest as PodContainers.start has it."""
        self.daemon = self._containers.start(PROXY, flags, before, limits)
        self._containers.await_startup(PROXY, self.daemon)

    def set_control(self, address: str) -> None:
        """In place of every --control that was injected, from the next start() on."""
        arguments = self._containers.spec(PROXY)["args"]
        arguments[:] = [word for word in arguments if not word.startswith("--control=")] + [f"--control={address}"]

    def kill(self) -> None:
        self.daemon.kill()

    def page(self, path: str, port: int = HTTP_PORT) -> Page:
        return self._containers.page(path, port)

    def admin(self, path: str) -> str:
        """A page of the admin interface, which listens in the pod's loopback only."""
        return self._sandbox.exec("curl", "-sS", "-m", "5", f"http://127.0.0.1:15000{path}").stdout

    def rss_kb(self) -> int:
        status = Path(f"/proc/{self.daemon.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))

    def feed(self) -> dict:
        """What /config_dump says of the feed."""
        return json.loads(self.admin("/config_dump"))["feed"]

    def metrics(self) -> dict:
        """Each sample of /stats by its name and labels."""
        samples = (line.rsplit(": ", 1) for line in self.admin("/stats").splitlines())
        return {name: float(value) for name, value in samples}

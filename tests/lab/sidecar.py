"""What the injector adds to a pod: the init container with its rules, and the sidecar."""

import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from . import network
from .pods import Sandbox
from .tools import Daemon, portolan, run

UID = 1337
HTTP_PORT = 15020

# As the injected container's securityContext has it: no root, no capability, none to be gained.
_UNPRIVILEGED = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--bounding-set=-all",
                 "--inh-caps=-all", "--no-new-privs"]


@dataclass(frozen=True)
class Settings:
    """What every sidecar of the cluster is given. The control plane has one address for each family."""

    control4: str
    control6: str
    corefile: Path


class Capture:
    """The init container: the pod's iptables rules, as root with NET_ADMIN."""

    def __init__(self, sandbox: Sandbox, options: tuple = ()):
        self.sandbox = sandbox
        self._flags = ["--dns-port", "15053", "--forward-port", "15001", "--exempt-uid", str(UID),
                       "--resolv-conf", "/etc/resolv.conf"]
        for cidr in network.SERVICE_CIDRS:
            self._flags += ["--service-cidr", cidr]
        for cidr in network.POD_CIDRS:
            self._flags += ["--pod-cidr", cidr]
        self._flags += options

    def run(self, verb: str, *more: str, check: bool = False):
        """verb is apply, verify or clean."""
        return run(self.sandbox.command([portolan("portolan-init"), verb, *self._flags, *more]), check=check)

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

    def __init__(self, sandbox: Sandbox, settings: Settings):
        self._sandbox = sandbox
        self._state = sandbox.folder / "state"
        self._state.mkdir()
        # The folder is the container's emptyDir, which fsGroup gives to the sidecar.
        run(["chown", f"{UID}:{UID}", str(self._state)])
        families = sandbox.shape.families
        self._argv = [portolan("portolan-proxy"),
                      "--control", settings.control4 if families.ipv4 else settings.control6, "--control-insecure",
                      "--node", f"{sandbox.namespace}/{sandbox.name}",
                      "--corefile", str(settings.corefile), "--resolv-conf", "/etc/resolv.conf",
                      "--admin-listen", "127.0.0.1:15000", "--state-dir", str(self._state), "--concurrency", "2"]
        for ip in sandbox.ips:
            self._argv += ["--pod-ip", ip]
        # A pod without IPv6 addresses may still have ::1, but one with IPv6 switched off has not.
        for loopback in ["127.0.0.1"] + (["[::1]"] if families.ipv6 else []):
            self._argv += ["--dns-listen", f"{loopback}:15053", "--forward-listen", f"{loopback}:15001"]
        self.daemon: Daemon
        self.start()

    def start(self) -> None:
        self.daemon = self._sandbox.start("portolan-proxy", _UNPRIVILEGED + self._argv)
        self.daemon.wait_ready(self.ready, f"/ready on port {HTTP_PORT} says 200")

    def kill(self) -> None:
        self.daemon.kill()

    def ready(self) -> bool:
        """As the kubelet's startup probe asks: from the node, by the pod's address."""
        ip = f"[{self._sandbox.ip}]" if ":" in self._sandbox.ip else self._sandbox.ip
        try:
            with urllib.request.urlopen(f"http://{ip}:{HTTP_PORT}/ready", timeout=2) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def admin(self, path: str) -> str:
        """A page of the admin interface, which listens in the pod's loopback only."""
        return self._sandbox.exec("curl", "-sS", "-m", "5", f"http://127.0.0.1:15000{path}").stdout

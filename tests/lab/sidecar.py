"""What the injector adds to a pod: the init container with its rules, and the sidecar."""

import json
import os
import re
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from . import network
from .pods import Sandbox
from .tokens import ProjectedToken, TokenIssuer
from .tools import Daemon, portolan, run

UID = 1337
# Flags for all sidecars of a lab, such as `--endpoints eager`.
EVERY_SIDECAR = os.environ.get("PORTOLAN_LAB_SIDECAR_FLAGS", "").split()
HTTP_PORT = 15020

# As the injected container's securityContext has it: no root, no capability, none to be gained.
_UNPRIVILEGED = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--bounding-set=-all",
                 "--inh-caps=-all", "--no-new-privs"]
# With `capabilities: {drop: [ALL], add: [NET_RAW]}` and `allowPrivilegeEscalation: true`, for an image whose program
# has the file capability. setpriv itself still has root's rights; what env starts has what the file gives alone.
_MAY_GET_NET_RAW = [*_UNPRIVILEGED[:4], "--bounding-set=-all,+net_raw", "--inh-caps=-all", "env"]


@dataclass(frozen=True)
class Settings:
    """What every sidecar of the cluster is given. The control plane has one address for each family."""

    control4: str
    control6: str
    control_ca: Path
    issuer: TokenIssuer
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


@dataclass(frozen=True)
class Page:
    """An answer over HTTP; status 0 when there was none."""

    status: int
    body: str


class Sidecar:
    """portolan-proxy in a pod, as a native sidecar container runs it."""

    def __init__(self, sandbox: Sandbox, settings: Settings, node: str):
        self._sandbox = sandbox
        self.state_dir = sandbox.folder / "state"
        self.state_dir.mkdir()
        # The folder is the container's emptyDir, which fsGroup gives to the sidecar.
        run(["chown", f"{UID}:{UID}", str(self.state_dir)])
        self.token = ProjectedToken(sandbox.folder / "token", UID)
        self.token.write(settings.issuer.token(sandbox.namespace, sandbox.name))
        families = sandbox.shape.families
        self._argv = ["--control", settings.control4 if families.ipv4 else settings.control6,
                      "--control-ca", str(settings.control_ca), "--control-token", str(self.token.file),
                      "--node", f"{sandbox.namespace}/{sandbox.name}",
                      *(("--node-name", node, "--zone", network.zone_of(node)) if sandbox.shape.place else ()),
                      "--corefile", str(settings.corefile), "--resolv-conf", "/etc/resolv.conf",
                      "--admin-listen", "127.0.0.1:15000", "--state-dir", str(self.state_dir), "--concurrency", "2"]
        self._argv += EVERY_SIDECAR
        # As the downward API gives status.podIPs.
        self._argv += ["--pod-ip", ",".join(sandbox.ips)]
        # A pod without IPv6 addresses may still have ::1, but one with IPv6 switched off has not.
        for loopback in ["127.0.0.1"] + (["[::1]"] if families.ipv6 else []):
            self._argv += ["--dns-listen", f"{loopback}:15053", "--forward-listen", f"{loopback}:15001"]
        self.daemon: Daemon
        self.start()

    def start(self, *flags: str, before: tuple = ()) -> None:
        """flags: more of them. before: what goes before the program's own command line, such as prlimit or env."""
        rights, program = _UNPRIVILEGED, self._program_for_all() if before else portolan("portolan-proxy")
        if self._sandbox.shape.udp:
            rights, program, flags = _MAY_GET_NET_RAW, self.program_with_net_raw(), ("--udp", "tproxy", *flags)
        self.daemon = self._sandbox.start("portolan-proxy", [*rights, *before, program, *self._argv, *flags])
        self.daemon.wait_ready(self.ready, f"/ready on port {HTTP_PORT} says 200")

    def _program_for_all(self) -> str:
        """A copy that uid 1337 reaches, also when this tree is in /root: setpriv itself still has root's rights."""
        copy = self._sandbox.folder / "portolan-proxy"
        if not copy.exists():
            shutil.copy(portolan("portolan-proxy"), copy)
        return str(copy)

    def program_with_net_raw(self) -> str:
        """The program as an image has it that is to forward UDP."""
        program = self._program_for_all()
        run(["setcap", "cap_net_raw+p", program])
        return program

    def kill(self) -> None:
        self.daemon.kill()

    def ready(self) -> bool:
        return self.page("/ready").status == 200

    def page(self, path: str, port: int = HTTP_PORT) -> Page:
        """As the kubelet's probes and Prometheus ask: from the node, by the pod's address."""
        ip = f"[{self._sandbox.ip}]" if ":" in self._sandbox.ip else self._sandbox.ip
        try:
            with urllib.request.urlopen(f"http://{ip}:{port}{path}", timeout=2) as answer:
                return Page(answer.status, answer.read().decode())
        except urllib.error.HTTPError as error:
            return Page(error.code, error.read().decode())
        except OSError as error:
            return Page(0, str(error))

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

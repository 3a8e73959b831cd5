"""portolan-control on the node, watching the lab's folder of manifests, its certificate, and the key of those
who issue tokens.

`source` and `auth` (--xds-auth) may be set to others before the next start().
"""

import socket
from pathlib import Path

from .certificates import CertificateAuthority, Secret
from .network import POD_GATEWAY4, POD_GATEWAY6
from .tokens import TokenIssuer
from .tools import Daemon, portolan

XDS_PORT = 15012
REPLICA_PORT = 15022
REPLICA4 = f"{POD_GATEWAY4}:{REPLICA_PORT}"
ADDRESS4 = f"{POD_GATEWAY4}:{XDS_PORT}"
ADDRESS6 = f"[{POD_GATEWAY6}]:{XDS_PORT}"
# What its certificate is for, and sidecars know it by.
SERVER_NAME = "portolan-control.portolan-system.svc"
HTTP = "127.0.0.1:15080"
STATUS = "127.0.0.1:15014"


class ControlPlane:
    def __init__(self, manifests: Path, corefile: Path, folder: Path):
        folder.mkdir(parents=True)
        self.ca = CertificateAuthority(folder / "ca")
        self.secret = Secret(folder / "tls", self.ca, f"IP:{POD_GATEWAY4},IP:{POD_GATEWAY6},DNS:{SERVER_NAME}")
        self.issuer = TokenIssuer(folder / "issuer")
        # Corefiles that a sidecar may ask for by their names.
        self.corefiles = folder / "corefiles"
        self.corefiles.mkdir()
        self._log = folder / "portolan-control.log"
        self.source = f"files:{manifests}"
        self.auth = f"keys:{self.issuer.public}"
        # Both families of the bridge: IPv6-only pods have no other way to it.
        self._flags = ["--xds-listen", f"[::]:{XDS_PORT}", "--tls-cert", str(self.secret.certificate),
                       "--tls-key", str(self.secret.key), "--http-listen", HTTP, "--corefile", str(corefile),
                       "--corefiles", str(self.corefiles)]
        self.daemon: Daemon
        self.start()

    def start(self) -> None:
        self.begin()
        self.daemon.wait_ready(self.listens, f"it listens on port {XDS_PORT}")

    def begin(self) -> None:
        """Without waiting for it."""
        argv = [portolan("portolan-control"), "--source", self.source, "--xds-auth", self.auth, *self._flags]
        self.daemon = Daemon("portolan-control", argv, self._log)

    def start_replica(self) -> Daemon:
        """A second one with the same source, certificate and keys, at REPLICA4."""
        at = {"--xds-listen": REPLICA4, "--http-listen": "127.0.0.1:15081", "--status-listen": "127.0.0.1:15018"}
        flags = {"--source": self.source, "--xds-auth": self.auth, **dict(zip(self._flags[::2], self._flags[1::2])), **at}
        argv = [portolan("portolan-control"), *(word for flag in flags.items() for word in flag)]
        replica = Daemon("portolan-control", argv, self._log.with_name("replica.log"))
        replica.wait_ready(lambda: _accepts(REPLICA_PORT), f"it listens at {REPLICA4}")
        return replica

    def kill(self) -> None:
        self.daemon.kill()

    def restart_on(self, source: str) -> None:
        self.kill()
        self.source = source
        self.start()

    def running(self) -> bool:
        return self.daemon.running()

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @staticmethod
    def listens() -> bool:
        return _accepts(XDS_PORT)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((POD_GATEWAY4, port), timeout=1).close()
        return True
    except OSError:
        return False

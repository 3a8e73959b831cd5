"""The cluster DNS: a real unbound at 10.43.0.10 that plays CoreDNS as the pod's resolv.conf names it.

It resolves a small internet of its own. It also holds a few cluster names, with
addresses that no Service has, so that an answer tells who gave it.
"""

import signal
from pathlib import Path

from .network import CLUSTER_DNS4, CLUSTER_DNS6, NODE_LOCAL_DNS, OUTSIDE4, OUTSIDE6
from .tools import Daemon, run

# What the cluster DNS answers for `backend.default.svc.cluster.local`: the sidecar never says this.
DECOY = "192.0.2.53"

_INTERNET = f"""
$TTL 300
.                 SOA   ns.test. root.test. 1 3600 600 86400 300
.                 NS    ns.test.
ns.test.          A     {CLUSTER_DNS4}
example.org.      A     {OUTSIDE4}
example.org.      AAAA  {OUTSIDE6}
example.org.      TXT   "answered by the cluster DNS"
www.example.org.  CNAME example.org.
example.com.      A     {OUTSIDE4}
example.com.      AAAA  {OUTSIDE6}
v4.example.org.   A     {OUTSIDE4}
*.example.        A     {OUTSIDE4}
*.example.        AAAA  {OUTSIDE6}
backend.default.svc.cluster.local. A {DECOY}
unknown-here.default.svc.cluster.local. A {DECOY}
asked-first.default.svc.cluster.local. A {DECOY}
asked-late.default.svc.cluster.local. A {DECOY}
"""


class ClusterDns:
    def __init__(self, folder: Path):
        self._folder = folder
        self._config = folder / "unbound.conf"
        self._control = folder / "control.socket"
        folder.mkdir(parents=True)
        (folder / "internet.zone").write_text(_INTERNET)
        interfaces = "\n".join(f"  interface: {address}" for address in (CLUSTER_DNS4, CLUSTER_DNS6, NODE_LOCAL_DNS))
        # An auth-zone for upstream only: unbound resolves out of it as out of the
        # internet, so answers carry RA and no AA, and CNAMEs are followed.
        self._config.write_text(f"""
server:
{interfaces}
  port: 53
  access-control: 0.0.0.0/0 allow
  access-control: ::/0 allow
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: "{folder}/unbound.pid"
  use-syslog: no
  log-queries: yes
  do-daemonize: no
  num-threads: 1
  module-config: "iterator"
  statistics-cumulative: yes
  extended-statistics: yes
  do-not-query-localhost: no
auth-zone:
  name: "."
  zonefile: "{folder}/internet.zone"
  for-upstream: yes
  for-downstream: no
remote-control:
  control-enable: yes
  control-interface: {self._control}
  control-use-cert: no
""")
        self._daemon = Daemon("unbound", ["unbound", "-d", "-c", str(self._config)], folder / "log")
        self._daemon.wait_ready(lambda: self._ask("status").returncode == 0, "its control socket answers")

    def queries(self) -> int:
        """Queries received since the start, over UDP and TCP, without the probes of `loop`."""
        counts = dict(line.split("=", 1) for line in self._ask("stats_noreset").stdout.splitlines()
                      if "=" in line)
        if "total.num.queries" not in counts:
            raise LookupError("unbound reports no total.num.queries")
        return int(counts["total.num.queries"]) - int(counts.get("num.query.type.HINFO", 0))

    def set(self, name: str, *records: str) -> None:
        """From now on `name` has these records alone, "TTL TYPE DATA"; none: it does not exist."""
        self._ask("local_data_remove", name)
        for record in records:
            ttl, kind, data = record.split(None, 2)
            if self._ask("local_data", f"{name} {ttl} IN {kind} {data}").returncode != 0:
                raise LookupError(f"unbound does not take {name} {record}")

    def stop_answering(self, stopped: bool) -> None:
        """Stopped, as a program that hangs: nothing is answered, nothing refused."""
        self._daemon.signal(signal.SIGSTOP if stopped else signal.SIGCONT)

    def log(self) -> str:
        """One line for each query, for a test that wants to know which name was asked."""
        return (self._folder / "log").read_text(errors="replace")

    def _ask(self, *command: str):
        return run(["unbound-control", "-c", str(self._config), *command], check=False)

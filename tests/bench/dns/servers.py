"""The servers of the bench: their configuration, how they are started, asked and stopped."""
import json, shutil, socket, subprocess, sys, tempfile, time

import world
from programs import Program, cpu_ns, free_port, write

UPSTREAM_ZONE = "example.org"


# --- Peers: (folder, port, names, upstream port or None) -> command ---


def knot(folder, port, names, _):
    world.write_cluster_zone(f"{folder}/zone", names)
    write(f"{folder}/conf", f"""server:
    rundir: {folder}
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: {folder}
template:
  - id: default
    storage: {folder}
zone:
  - domain: cluster.local
    file: {folder}/zone
""")
    return ["knotd", "-c", f"{folder}/conf"]


def nsd_of(folder, port, zone):
    write(f"{folder}/conf", f"""server:
    ip-address: 127.0.0.1@{port}
    server-count: 1
    username: ""
    chroot: ""
    zonesdir: "{folder}"
    pidfile: "{folder}/pid"
    xfrdfile: "{folder}/xfrd"
    xfrdir: "{folder}"
    zonelistfile: "{folder}/zonelist"
    database: ""
    rrl-ratelimit: 0
remote-control:
    control-enable: no
zone:
    name: {zone}
    zonefile: {folder}/zone
""")
    return ["nsd", "-d", "-c", f"{folder}/conf"]


def nsd(folder, port, names, _):
    world.write_cluster_zone(f"{folder}/zone", names)
    return nsd_of(folder, port, "cluster.local")


def unbound(folder, port, names, upstream):
    with open(f"{folder}/conf", "w") as f:
        f.write(f"""server:
    interface: 127.0.0.1
    port: {port}
    num-threads: 1
    do-daemonize: no
    username: ""
    chroot: ""
    directory: "{folder}"
    pidfile: "{folder}/pid"
    use-syslog: no
    logfile: "{folder}/log"
    module-config: "iterator"
    do-not-query-localhost: no
    local-zone: "cluster.local." static
    local-data: "cluster.local. {world.TTL} SOA ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 30"
""")
        for owner, kind, data in world.records(names):
            f.write(f'    local-data: "{owner}. {world.TTL} {kind} {data}"\n')
        f.write("remote-control:\n    control-enable: no\n")
        if upstream is not None:
            f.write(f'forward-zone:\n    name: "{UPSTREAM_ZONE}"\n    forward-addr: 127.0.0.1@{upstream}\n')
    return ["unbound", "-d", "-c", f"{folder}/conf"]


def dnsmasq(folder, port, names, upstream):
    with open(f"{folder}/hosts", "w") as hosts, open(f"{folder}/conf", "w") as conf:
        for owner, kind, data in world.records(names):
            if kind == "A":  # it searches SRV records one by one, for every query: they are left out
                hosts.write(f"{data} {owner}\n")
        if upstream is not None:
            conf.write(f"server=/{UPSTREAM_ZONE}/127.0.0.1#{upstream}\n")
    return ["dnsmasq", "-k", f"--conf-file={folder}/conf", f"--port={port}", "--no-resolv", "--no-hosts",
            "--listen-address=127.0.0.1", "--bind-interfaces", f"--addn-hosts={folder}/hosts",
            f"--pid-file={folder}/pid", "--local=/cluster.local/", f"--local-ttl={world.TTL}", "--user=root",
            "--no-daemon", "--cache-size=10000"]


PEERS = {"knot": knot, "nsd": nsd, "unbound": unbound, "dnsmasq": dnsmasq}
CACHES = ("unbound", "dnsmasq")


def installed(label):
    return shutil.which("knotd" if label == "knot" else label) is not None


# --- Servers ---


class Server:
    """A DNS server on core 0 that is asked from core 1."""

    def __init__(self, build, label, port, program):
        self.build, self.label, self.port, self.program = build, label, port, program

    def ask(self, tool, scenario, *args, timeout=90):
        """What the load or latency tool says; None if it got wrong answers or none."""
        check = ["--unchecked"] if self.label == "floor" else []
        out = subprocess.run(["taskset", "-c", "1", f"{self.build}/bin/dns_bench_{tool}", "--server",
                              f"127.0.0.1:{self.port}", "--scenario", scenario] + check + [str(a) for a in args],
                             capture_output=True, text=True, timeout=timeout)
        try:
            result = json.loads(out.stdout)
        except json.JSONDecodeError:
            return None
        return result if out.returncode == 0 else None

    def load(self, scenario, names, count, outstanding, *args):
        before = cpu_ns(self.program.pid)
        result = self.ask("load", scenario, "--count", count, "--names", names, "--outstanding", outstanding, *args)
        if result is not None:
            result["us"] = (cpu_ns(self.program.pid) - before) / 1000 / result["received"]
            result["qps"] = result["received"] / result["seconds"]
        return result

    def wait(self, scenario, names, seconds=20):
        """True once all names are answered as they should be."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.program.running():
            if self.ask("load", scenario, "--count", names, "--names", names, "--seconds", 2) is not None:
                return True
            time.sleep(0.2)
        return False

    def stop(self):
        self.program.stop()


def make_certificate(certificate, key):
    """For 127.0.0.1, by no CA but itself."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-keyout", key,
                    "-out", certificate], check=True, capture_output=True)


class ControlPlane(Program):
    """Feeds the sidecar out of FOLDER/manifests; idle while the load runs, and not counted."""

    def __init__(self, build, folder, tls=False):
        self.xds, self.manifests = free_port(socket.SOCK_STREAM), f"{folder}/manifests"
        self.ca = f"{folder}/tls.crt" if tls else None
        transport = ["--xds-insecure"]
        if tls:
            make_certificate(self.ca, f"{folder}/tls.key")
            transport = ["--tls-cert", self.ca, "--tls-key", f"{folder}/tls.key", "--xds-auth", "none"]
        super().__init__([f"{build}/bin/portolan-control", "--source", f"files:{self.manifests}", *transport,
                          "--xds-listen", f"127.0.0.1:{self.xds}", "--http-listen", "127.0.0.1:0",
                          "--status-listen", "127.0.0.1:0"], folder)


def portolan_command(build, folder, port, xds, upstream=None, admin="127.0.0.1:0", ca=None, saves=False, flags=(),
                     node="bench/client"):
    """The sidecar under the seed's Corefile; `upstream` adds a line to forward there; `ca`: fed over TLS; `saves`:
    keeps its state on disk."""
    write(f"{folder}/resolv.conf", "nameserver 127.0.0.1\n")
    forward = f"    forward . 127.0.0.1:{upstream}\n}}\n" if upstream is not None else "}\n"
    write(f"{folder}/Corefile", world.COREFILE.removesuffix("}\n") + forward)
    transport = ["--control-ca", ca] if ca else ["--control-insecure"]
    return [f"{build}/bin/portolan-proxy", "--node", node, "--concurrency", "1",
            "--corefile", f"{folder}/Corefile", "--control", f"127.0.0.1:{xds}", *transport,
            "--resolv-conf", f"{folder}/resolv.conf", "--dns-listen", f"127.0.0.1:{port}", "--forward-listen",
            "127.0.0.1:0", "--admin-listen", admin, "--status-listen", "127.0.0.1:0",
            *(["--state-dir", f"{folder}/state"] if saves else []), *flags]


class Bench:
    """All that is started, and stopped together at the end."""

    def __init__(self, build, home):
        self.build, self.home, self.started = build, home, []

    def folder(self, label):
        return tempfile.mkdtemp(prefix=f"{label}-".replace(" ", "-"), dir=self.home)

    def keep(self, thing):
        self.started.append(thing)
        return thing

    def stop(self):
        for thing in reversed(self.started):
            thing.stop()
        self.started.clear()

    def server(self, label, command_for, cpus="0"):
        folder, port = self.folder(label), free_port()
        program = self.keep(Program(command_for(folder, port), folder, cpus))
        return Server(self.build, label, port, program)

    def floor(self, extra_bytes):
        return self.server("floor", lambda _, port: [f"{self.build}/bin/dns_bench_floor", f"127.0.0.1:{port}",
                                                     str(extra_bytes)])

    def control(self, services, headless_services=0, tls=False, endpoints=0, others=()):
        folder = self.folder("control")
        world.write_manifests(f"{folder}/manifests", services, headless_services, endpoints, others)
        return self.keep(ControlPlane(self.build, folder, tls))

    def portolan(self, control, upstream=None, label="portolan", saves=False, flags=(), **more):
        return self.server(label, lambda folder, port: portolan_command(self.build, folder, port, control.xds, upstream,
                                                                        ca=control.ca, saves=saves, flags=flags,
                                                                        **more))

    def peer(self, label, names, upstream=None):
        return self.server(label, lambda folder, port: PEERS[label](folder, port, names, upstream))

    def upstream(self, names):
        """The port of a server for example.org; None without nsd."""
        if not installed("nsd"):
            return None
        folder, port = self.folder("upstream"), free_port()
        world.write_upstream_zone(f"{folder}/zone", names)
        self.keep(Program(nsd_of(folder, port, UPSTREAM_ZONE), folder, "1"))
        return port


def expect(server, scenario, names):
    """Ends the bench if the server does not answer as it should."""
    if not server.wait(scenario, names):
        sys.exit(f"{server.label} does not answer {scenario} as expected:\n{server.program.said()}")


def expect_denied(server, seconds=20):
    """Ends the bench if the server goes on to resolve what no rule has."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        out = subprocess.run(["dig", "+tries=1", "+time=1", "@127.0.0.1", "-p", str(server.port), "denied.example.com"],
                             capture_output=True, text=True)
        if "status: REFUSED" in out.stdout and "EDE: 18" in out.stdout:
            return
        time.sleep(0.2)
    sys.exit(f"{server.label} denies nothing:\n{out.stdout}{server.program.said()}")

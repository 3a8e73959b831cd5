"""The forwarders of the bench: their configuration, how they are started, reached and stopped."""
import json, os, resource, shutil, socket, subprocess, sys, tempfile, time

import network, rules
from programs import Program, cpu_ns, free_port, write

SERVICES = 5000  # that the sidecar and the DNAT map know
# All run as the sidecar's user: the kernel's limit for pipes is each user's.
# Before what else the machine does: a turn of a neighbour would be a long wait of one of the peers.
FIRST = ["nice", "-n", "-15"]
AS_SIDECAR = [*FIRST, "setpriv", f"--reuid={network.SIDECAR}", f"--regid={network.SIDECAR}", "--clear-groups"]
# Of a Service in a range of its own: what is TCP to the others is none of portolan-init's business here.
UDP_SERVICE = "10.71.0.1"
GUARDED = f"{rules.RULES} rules"
RANGES = {"portolan": 67, "haproxy": 68, "nginx": 69, "nftables DNAT": 70, GUARDED: 72}


def most_connections():
    """haproxy wants half a descriptor for its pipes beside the two of a connection."""
    return (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 300) * 2 // 5


def portolan(build, folder, port, xds, node="bench/client"):
    write(f"{folder}/resolv.conf", "nameserver 127.0.0.1\n")
    return [f"{build}/bin/portolan-proxy", "--node", node, "--concurrency", "1", "--control",
            f"127.0.0.1:{xds}", "--control-insecure", "--resolv-conf", f"{folder}/resolv.conf", "--dns-listen",
            "127.0.0.1:0", "--forward-listen", f"127.0.0.1:{port}", "--admin-listen", "127.0.0.1:0",
            "--status-listen", "127.0.0.1:0"]


def haproxy(_, folder, port, __):
    servers = "\n".join(f"    server e{n} {e}:{network.PORT}" for n, e in enumerate(network.ENDPOINTS))
    write(f"{folder}/conf", f"""global
    nbthread 1
    maxconn {most_connections()}
defaults
    mode tcp
    option splice-auto
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen bench
    bind 127.0.0.1:{port} backlog 4096
{servers}
""")
    return ["haproxy", "-f", f"{folder}/conf"]


def nginx(_, folder, port, __):
    servers = " ".join(f"server {e}:{network.PORT};" for e in network.ENDPOINTS)
    write(f"{folder}/conf", f"""load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections {2 * most_connections()}; }}
stream {{
    upstream endpoints {{ {servers} }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        proxy_pass endpoints;
        proxy_timeout 1h;
    }}
}}
""")
    return ["nginx", "-e", "stderr", "-c", f"{folder}/conf"]


def guarded(build, folder, port, xds):
    """A sidecar with rules in force that admit the endpoints."""
    return portolan(build, folder, port, xds, rules.NODE)


PEERS = {"portolan": portolan, "haproxy": haproxy, "nginx": nginx}


def installed(label):
    if label == "nginx":
        return os.path.exists("/usr/lib/nginx/modules/ngx_stream_module.so")
    return label == "portolan" or shutil.which(label) is not None


def manifests():
    """SERVICES Services that share the endpoints, one of UDP, and the rules for a pod, which admit the endpoints."""
    endpoints = ", ".join(f"{{addresses: [{e}], conditions: {{ready: true}}}}" for e in network.ENDPOINTS)
    def service(name, address, protocol):
        return f"""---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: bench}}
spec: {{clusterIP: {address}, ports: [{{port: {network.PORT}, protocol: {protocol}}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-x, namespace: bench, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{port: {network.PORT}, protocol: {protocol}}}]
endpoints: [{endpoints}]
"""

    yield service("udp", UDP_SERVICE, "UDP")
    yield service("guarded", network.service_address(RANGES[GUARDED], 0), "TCP")
    for n in range(SERVICES):
        yield service(f"service-{n}", network.service_address(RANGES["portolan"], n), "TCP")
    for o in rules.manifests([f"{e}/32" for e in network.ENDPOINTS], []):
        yield f"---\n{json.dumps(o)}\n"


class Peer:
    """One that carries connections, on core 0; the load, with the endpoints, is on core 1. None for `program`: the
    kernel alone."""

    def __init__(self, bench, label, targets, program=None):
        self.bench, self.label, self.targets, self.program = bench, label, targets, program

    def command(self, mode, *args):
        to = [x for t in self.targets for x in ("--target", f"{t}:{network.PORT}")]
        listen = [x for e in network.ENDPOINTS for x in ("--endpoint", f"{e}:{network.PORT}")]
        return ["taskset", "-c", "1", *FIRST, f"{self.bench.build}/bin/forwarder_bench_load", "--mode", mode, *to,
                *listen, "--endpoints-netns", self.bench.network.endpoints, *(str(a) for a in args)]

    def cpu_us(self):
        return cpu_ns(self.program.pid) / 1000 if self.program else 0.0

    def load(self, mode, *args):
        """What the load says, and the CPU that it cost here; None if anything failed."""
        before = self.cpu_us()
        out = subprocess.run(self.command(mode, *args), capture_output=True, text=True, timeout=150)
        if out.returncode != 0:
            print(f"{self.label}, {mode}: {out.stdout}{out.stderr}", file=sys.stderr)
            return None
        result = json.loads(out.stdout)
        result["cpu_us"] = self.cpu_us() - before
        return result

    def carries(self):
        """True once connections come through."""
        until = time.monotonic() + 20
        while time.monotonic() < until and self.program.running():
            out = subprocess.run(self.command("connect", "--count", 20, "--connections", 4, "--seconds", 2),
                                 capture_output=True)
            if out.returncode == 0:
                return True
            time.sleep(0.2)
        return False


class Bench:
    """All that is started, and stopped together at the end."""

    def __init__(self, build, home):
        self.build, self.home, self.started = build, home, []
        os.chmod(home, 0o755)
        self.network = self.keep(network.Network())
        self.network.dnat(RANGES["nftables DNAT"], SERVICES)

    def folder(self, label):
        folder = tempfile.mkdtemp(prefix=f"{label}-", dir=self.home)
        os.chown(folder, network.SIDECAR, network.SIDECAR)
        return folder

    def keep(self, thing):
        self.started.append(thing)
        return thing

    def stop(self):
        for thing in reversed(self.started):
            thing.stop()
        self.started.clear()

    def control(self):
        """The port at which it feeds sidecars."""
        folder, xds = self.folder("control"), free_port(socket.SOCK_STREAM)
        os.mkdir(f"{folder}/manifests")
        write(f"{folder}/manifests/all.yaml", "".join(manifests()))
        self.keep(Program([f"{self.build}/bin/portolan-control", "--source", f"files:{folder}/manifests",
                           "--xds-insecure", "--xds-listen", f"127.0.0.1:{xds}", "--http-listen", "127.0.0.1:0",
                           "--status-listen", "127.0.0.1:0"], folder, "1"))
        return xds

    def guarded(self, xds):
        """A sidecar with egress policy, known to deny what that does not admit."""
        peer = self.peer(GUARDED, xds)
        until = time.monotonic() + 20
        while "policy denied TCP" not in peer.program.said():
            if time.monotonic() > until:
                sys.exit(f"{GUARDED} deny nothing:\n{peer.program.said()}")
            with socket.create_connection((network.service_address(RANGES[GUARDED], 1), network.PORT)):
                time.sleep(0.2)
        return peer

    def targets(self, label, services):
        return [network.service_address(RANGES[label], n) for n in range(services)]

    def peer(self, label, xds):
        """Started anew, and known to carry."""
        folder, port = self.folder(label), free_port(socket.SOCK_STREAM)
        command = guarded if label == GUARDED else PEERS[label]
        program = self.keep(Program(AS_SIDECAR + command(self.build, folder, port, xds), folder, "0"))
        self.network.redirect(RANGES[label], port)
        peer = Peer(self, label, self.targets(label, 1), program)
        if not peer.carries():
            sys.exit(f"{label} does not carry connections:\n{program.said()}")
        return peer

    def drop(self, peer):
        peer.program.stop()
        self.started.remove(peer.program)

    def direct(self):
        return Peer(self, "direct", network.ENDPOINTS)

    def dnat(self):
        return Peer(self, "nftables DNAT", self.targets("nftables DNAT", 1))

#!/usr/bin/python3
"""What a control plane with a large cluster and many sidecars takes.

    tests/bench/control/run.py --build build [--clients 1000] [--services 10000] [--endpoints 100000] [--tls] [--quick] [--check]

portolan-control reads the cluster from the fake API server (tests/kubernetes/fake_api) and feeds real gRPC
clients of one other process (clients.cc), each on a connection of its own and subscribed as a sidecar is. All
share the machine's cores, so a change's time holds the clients' work too; CPU is told for both.

  ready       from the start of the program until it serves: all lists read
  connect     all clients at once, with nothing
  change      one endpoint of a Service that all subscribe to, one change after the other: until the last has it
  sustained   100 changes a second: how far behind is the last client, and how many states were skipped
  reconnect   all clients at once, with everything: after a restart of the control plane
"""
import argparse, json, os, shutil, statistics, subprocess, sys, tempfile, time, urllib.error, urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
import socket
import world
from programs import Program, cpu_ns, free_port, write
from promises import Verdicts

ROOT = os.path.join(HERE, "..", "..", "..")
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{world.NAMESPACE}/endpointslices"
READY_S, RSS_MB, CHANGE_MS, RECONNECT_S, CHANGE_KB = 10, 400, 100, 10, 10


def tcp_port():
    return free_port(socket.SOCK_STREAM)


def fetch(url, method="GET", body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()


def until(what, holds, program, seconds=120):
    end = time.monotonic() + seconds
    while not holds():
        if not program.running() or time.monotonic() > end:
            sys.exit(f"{what}: {program.said()}")
        time.sleep(0.02)


def answers(url):
    try:
        fetch(url)
        return True
    except (OSError, urllib.error.HTTPError):
        return False


def rss_mb(pid, field="VmRSS"):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(field + ":")) / 1024


def at(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Cluster:
    """The fake API server."""

    def __init__(self, folder, services, endpoints):
        port = tcp_port()
        self.url = f"http://127.0.0.1:{port}"
        os.mkdir(f"{folder}/api")
        write(f"{folder}/shared.json", json.dumps(world.objects()))
        self.program = Program(["env", f"PYTHONPATH={ROOT}", sys.executable, "-B", "-m", "tests.kubernetes.fake_api",
                                "--listen", f"127.0.0.1:{port}", "--load", f"{folder}/shared.json", "--synthetic",
                                f"services={services},endpoints={endpoints - world.ENDPOINTS}"], f"{folder}/api")
        until("the API server", lambda: answers(self.url + "/version"), self.program)
        write(f"{folder}/kubeconfig", json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "bench",
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
            "clusters": [{"name": "bench", "cluster": {"server": self.url}}],
            "users": [{"name": "bench", "user": {}}]}))
        self.number = 0

    def change(self):
        """The number of the change, and when the request for it was sent."""
        self.number += 1
        made = world.changed(self.number)
        before = time.monotonic_ns()
        fetch(f"{self.url}{SLICES}/{made['metadata']['name']}", "PUT", made)
        return before


def certificate(folder):
    """Of the control plane, by itself its CA."""
    names = {"key": f"{folder}/tls.key", "certificate": f"{folder}/tls.crt"}
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", names["key"], "-out",
                    names["certificate"]], check=True, capture_output=True)
    return names


class Control:
    def __init__(self, build, folder, tls):
        xds, status = tcp_port(), tcp_port()
        self.xds, self.status = f"127.0.0.1:{xds}", f"http://127.0.0.1:{status}"
        os.mkdir(f"{folder}/control")
        began = time.monotonic()
        self.program = Program([f"{build}/bin/portolan-control", "--source", f"kubernetes:{folder}/kubeconfig",
                                *(["--tls-cert", tls["certificate"], "--tls-key", tls["key"], "--xds-auth", "none"] if tls
                                  else ["--xds-insecure"]), "--xds-listen", self.xds, "--http-listen", f"127.0.0.1:{tcp_port()}",
                                "--status-listen", f"127.0.0.1:{status}"], f"{folder}/control")
        until("the control plane", lambda: answers(self.status + "/ready"), self.program)
        self.ready_s = time.monotonic() - began
        self.ready_cpu_s = cpu_ns(self.program.pid) / 1e9


class Clients:
    """clients.cc: told what to do a line at a time."""

    def __init__(self, build, control, count, tls):
        self.child = subprocess.Popen(
            [f"{build}/bin/control_bench_clients", "--control", control.xds, "--clients", str(count), "--service",
             f"{world.NAMESPACE}/{world.NAME}", *(["--ca", tls["certificate"]] if tls else [])], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, line):
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()
        said = self.child.stdout.readline()
        if not said:
            sys.exit(f"the clients ended at '{line}'")
        return json.loads(said)


class Spent:
    """CPU of server and clients since it was made, in milliseconds."""

    def __init__(self, *pids):
        self.pids, self.before = pids, [cpu_ns(pid) for pid in pids]

    def ms(self):
        return [(cpu_ns(pid) - before) / 1e6 for pid, before in zip(self.pids, self.before)]


def connect(clients, word, count, pids):
    spent = Spent(*pids)
    result = clients.tell(word)
    cpu = spent.ms()
    traffic = clients.tell("traffic")
    if result["synced"] != count:
        sys.exit(f"{word}: {result['synced']} of {count} clients have everything")
    print(f"{word:<12} first {result['first']:.2f} s, median {result['p50']:.2f}, last {result['last']:.2f}; CPU of a client "
          f"{cpu[0] / count:.2f} ms; {traffic['bytes'] / count / 1024:.0f} KB in {traffic['responses'] / count:.0f} responses")
    return result


def change_one_by_one(clients, cluster, count, changes, pids):
    took, spent = [], Spent(*pids)
    for _ in range(changes):
        before = cluster.change()
        had = clients.tell(f"watch {cluster.number} {cluster.number}")["had_ns"][0]
        if had < 0:
            sys.exit(f"change {cluster.number} did not reach all clients")
        took.append((had - before) / 1e6)
    server, client = (ms * 1000 / changes / count for ms in spent.ms())
    kb = clients.tell("traffic")["bytes"] / changes / count / 1024
    print(f"{'change':<12} last of {count} clients: median {statistics.median(took):.0f} ms, p99 {at(took, 0.99):.0f}; CPU for a "
          f"client {server:.0f} us here and {client:.0f} us there; {kb:.1f} KB")
    return at(took, 0.99), kb


def sustain(clients, cluster, count, seconds, pids):
    first, sent, spent = cluster.number + 1, [], Spent(*pids)
    began = time.monotonic()
    for n in range(seconds * 100):
        sent.append(cluster.change())
        time.sleep(max(0, began + (n + 1) / 100 - time.monotonic()))
    rate = len(sent) / (time.monotonic() - began)
    had = clients.tell(f"watch {first} {cluster.number}")["had_ns"]
    if min(had) < 0:
        sys.exit("not all changes reached all clients")
    took = [(h - s) / 1e6 for h, s in zip(had, sent)]
    traffic = clients.tell("traffic")
    server = spent.ms()[0] / 1000
    print(f"{'sustained':<12} {rate:.0f} changes a second for {seconds} s: last client median {statistics.median(took):.0f} ms, p99 "
          f"{at(took, 0.99):.0f}, worst {max(took):.0f}; {traffic['responses'] / count / seconds:.0f} states a second reach a "
          f"client; CPU {server / seconds:.2f} cores")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--services", type=int, default=10000)
    parser.add_argument("--endpoints", type=int, default=100000)
    parser.add_argument("--tls", action="store_true", help="over TLS, without tokens")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--check", action="store_true", help="exit status 1 if a promise is not held")
    options = parser.parse_args()
    part = 10 if options.quick else 1
    count = options.clients // part
    build, verdicts = os.path.abspath(options.build), Verdicts()
    folder, programs = tempfile.mkdtemp(prefix="control-bench-"), []
    try:
        cluster = Cluster(folder, options.services // part, max(options.endpoints // part, 2 * world.ENDPOINTS))
        programs.append(cluster.program)
        tls = certificate(folder) if options.tls else None
        control = Control(build, folder, tls)
        programs.append(control.program)
        clients = Clients(build, control, count, tls)
        pids = (control.program.pid, clients.child.pid)
        print(f"{'ready':<12} {control.ready_s:.1f} s, CPU {control.ready_cpu_s:.1f} s, RSS {rss_mb(pids[0]):.0f} MB")
        connect(clients, "connect", count, pids)
        change_one_by_one(clients, cluster, count, 10, pids)  # what is first is slower: not counted
        p99, kb = change_one_by_one(clients, cluster, count, 100, pids)
        sustain(clients, cluster, count, 60 // part, pids)
        back = connect(clients, "reconnect", count, pids)
        peak = rss_mb(pids[0], "VmHWM")
        print(f"{'memory':<12} RSS {rss_mb(pids[0]):.0f} MB, at most {peak:.0f}")
        clients.tell("traffic")
        clients.child.communicate("quit\n", timeout=60)
    finally:
        for program in reversed(programs):
            program.stop()
        shutil.rmtree(folder)
    verdicts.add("seconds until ready", control.ready_s, READY_S)
    verdicts.add("MB resident at most", peak, RSS_MB, "{:.0f}")
    verdicts.add("ms until the last client has a change, p99", p99, CHANGE_MS, "{:.0f}")
    verdicts.add("KB for one endpoint of 5,000", kb, CHANGE_KB, "{:.1f}")
    verdicts.add("seconds until the last client is back", back["last"], RECONNECT_S)
    verdicts.print()
    return 1 if options.check and verdicts.missed else 0


if __name__ == "__main__":
    sys.exit(main())

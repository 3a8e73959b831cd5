#!/usr/bin/python3
"""CPU of a DNS server per query, beside other servers and the least a UDP server can do.

All servers hold the same 2,000 names and run one after the other, round by round, each on core 0
with the load on core 1, so that what disturbs the machine disturbs all alike. Printed are medians,
the spread (10th to 90th percentile), and the ratio to the floor of the same round.

    tests/bench/dns/run.py --build build [--rounds 9] [--count 150000] [--only knot,nsd]

Portolan is the real sidecar with one worker, fed by a real control plane from a folder of manifests,
under its default Corefile.
"""
import argparse, json, os, shutil, socket, statistics, subprocess, sys, tempfile, time

NAMES = 2000


def name(i):
    return f"service-{i}.bench.svc.cluster.local"


def address(i):
    n = 0x0A2B0000 + 256 + i
    return ".".join(str(n >> s & 255) for s in (24, 16, 8, 0))


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def zone_file(path):
    with open(path, "w") as f:
        f.write("$ORIGIN cluster.local.\n$TTL 5\n@ SOA ns.dns hostmaster 1 7200 1800 86400 5\n@ NS ns.dns\n")
        f.write("ns.dns A 10.43.0.10\n")
        for i in range(NAMES):
            f.write(f"{name(i)}. A {address(i)}\n")


def knot(folder, port):
    zone_file(f"{folder}/zone")
    with open(f"{folder}/conf", "w") as f:
        f.write(f"""server:
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


def nsd(folder, port):
    zone_file(f"{folder}/zone")
    with open(f"{folder}/conf", "w") as f:
        f.write(f"""server:
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
    name: cluster.local
    zonefile: {folder}/zone
""")
    return ["nsd", "-d", "-c", f"{folder}/conf"]


def unbound(folder, port):
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
    local-zone: "cluster.local." static
""")
        for i in range(NAMES):
            f.write(f'    local-data: "{name(i)}. 5 A {address(i)}"\n')
        f.write("remote-control:\n    control-enable: no\n")
    return ["unbound", "-d", "-c", f"{folder}/conf"]


def dnsmasq(folder, port):
    with open(f"{folder}/hosts", "w") as f:
        for i in range(NAMES):
            f.write(f"{address(i)} {name(i)}\n")
    return ["dnsmasq", "-k", "--conf-file=/dev/null", f"--port={port}", "--no-resolv", "--no-hosts",
            "--listen-address=127.0.0.1", "--bind-interfaces", f"--addn-hosts={folder}/hosts",
            f"--pid-file={folder}/pid", "--local=/cluster.local/", "--local-ttl=5", "--user=root", "--no-daemon"]


def free_tcp_port():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def manifests(folder):
    os.mkdir(folder)
    with open(f"{folder}/services.yaml", "w") as f:
        for i in range(NAMES):
            f.write(f"""---
apiVersion: v1
kind: Service
metadata: {{name: service-{i}, namespace: bench}}
spec: {{clusterIP: {address(i)}, ports: [{{port: 80}}]}}
""")


class ControlPlane:
    """Feeds the sidecar; idle while the load runs, and not counted."""

    def __init__(self, build, folder):
        manifests(f"{folder}/manifests")
        self.xds = free_tcp_port()
        self.log = open(f"{folder}/control.log", "w")
        self.child = subprocess.Popen(
            [f"{build}/bin/portolan-control", "--source", f"files:{folder}/manifests", "--xds-insecure",
             "--xds-listen", f"127.0.0.1:{self.xds}", "--http-listen", "127.0.0.1:0", "--status-listen", "127.0.0.1:0"],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)

    def stop(self):
        self.child.terminate()
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.log.close()


def portolan(build, control, folder, port):
    with open(f"{folder}/resolv.conf", "w") as f:
        f.write("nameserver 127.0.0.1\n")
    return [f"{build}/bin/portolan-proxy", "--node", "bench/client", "--concurrency", "1",
            "--control", f"127.0.0.1:{control.xds}", "--control-insecure", "--resolv-conf", f"{folder}/resolv.conf",
            "--dns-listen", f"127.0.0.1:{port}", "--forward-listen", "127.0.0.1:0",
            "--admin-listen", "127.0.0.1:0", "--status-listen", "127.0.0.1:0"]


PEERS = {"knot": knot, "nsd": nsd, "unbound": unbound, "dnsmasq": dnsmasq}


def family(pid):
    """The process and all below it: nsd forks."""
    pids, at = [pid], 0
    while at < len(pids):
        try:
            for task in os.listdir(f"/proc/{pids[at]}/task"):
                with open(f"/proc/{pids[at]}/task/{task}/children") as f:
                    pids += [int(p) for p in f.read().split()]
        except OSError:
            pass
        at += 1
    return pids


def cpu_ns(pid):
    total = 0
    for p in family(pid):
        try:
            for task in os.listdir(f"/proc/{p}/task"):
                with open(f"/proc/{p}/task/{task}/schedstat") as f:
                    total += int(f.read().split()[0])
        except OSError:
            pass
    return total


class Server:
    def __init__(self, label, command, port, folder):
        self.label, self.port, self.folder = label, port, folder
        self.log = open(f"{folder}/out", "w")
        self.child = subprocess.Popen(["taskset", "-c", "0"] + command, stdout=self.log, stderr=self.log,
                                      stdin=subprocess.DEVNULL)

    def load(self, args, count, seconds=20):
        expect = "nothing" if self.label == "floor" else args.expect
        before = cpu_ns(self.child.pid)
        out = subprocess.run(
            ["taskset", "-c", "1", f"{args.build}/bin/dns_bench_load", "--server", f"127.0.0.1:{self.port}",
             "--count", str(count), "--outstanding", str(args.outstanding), "--names", str(NAMES),
             "--type", args.type, "--expect", expect, "--seconds", str(seconds)],
            capture_output=True, text=True, timeout=60)
        spent = cpu_ns(self.child.pid) - before
        try:
            result = json.loads(out.stdout)
        except json.JSONDecodeError:
            return None
        if out.returncode != 0 or result["received"] == 0:
            return None
        return {"us": spent / 1000 / result["received"], "qps": result["received"] / result["seconds"],
                "lost": result["lost"]}

    def wait(self, args):
        for _ in range(40):
            if self.child.poll() is not None:
                break
            if self.load(args, 64, 2) is not None:
                return
            time.sleep(0.1)
        with open(f"{self.folder}/out") as f:
            sys.exit(f"{self.label} does not answer as expected:\n{f.read()[-2000:]}")

    def stop(self):
        self.child.terminate()
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            for pid in family(self.child.pid):
                os.kill(pid, 9)
            self.child.wait()
        self.log.close()


def spread(values):
    values = sorted(values)
    return values[int(len(values) * 0.1)], values[min(len(values) - 1, int(len(values) * 0.9))]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build")
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--count", type=int, default=150000)
    p.add_argument("--outstanding", type=int, default=128)
    p.add_argument("--type", default="A")
    p.add_argument("--expect", default="address", choices=["address", "nodata", "nxdomain"])
    p.add_argument("--only", default=",".join(PEERS))
    p.add_argument("--limit", type=float, help="fail if the ratio to the floor is above")
    args = p.parse_args()

    # Behind the query: an address record; an SOA (owner, fixed part, RDATA).
    extra = 16 if args.expect == "address" else 12 + 42
    home = tempfile.mkdtemp(prefix="portolan-dns-bench-")
    servers = []
    control = ControlPlane(args.build, home)
    try:
        def start(label, command_for):
            folder, port = os.path.join(home, label), free_port()
            os.mkdir(folder)
            servers.append(Server(label, command_for(folder, port), port, folder))

        start("floor", lambda _, port: [f"{args.build}/bin/dns_bench_floor", f"127.0.0.1:{port}", str(extra)])
        start("portolan", lambda folder, port: portolan(args.build, control, folder, port))
        for label in filter(None, args.only.split(",")):
            if shutil.which(label if label != "knot" else "knotd"):
                start(label, PEERS[label])
            else:
                print(f"{label} is not installed, left out", file=sys.stderr)
        for server in servers:
            server.wait(args)
        rounds = []
        for n in range(args.rounds + 1):  # the first warms caches
            results = {s.label: s.load(args, args.count) for s in servers}
            failed = [label for label, r in results.items() if r is None]
            if failed:
                sys.exit(f"wrong or no answers from {', '.join(failed)}")
            if n > 0:
                rounds.append(results)
        print(f"{args.type} {args.expect}, {NAMES} names, {args.rounds} rounds of {args.count} queries, "
              f"{args.outstanding} outstanding, one core each")
        print(f"{'server':<10}{'queries/s':>11}{'CPU us/query':>14}{'spread':>16}{'x floor':>9}{'spread':>14}"
              f"{'portolan/it':>13}{'lost':>7}")
        verdict = 0
        for s in servers:
            us = [r[s.label]["us"] for r in rounds]
            ratio = [r[s.label]["us"] / r["floor"]["us"] for r in rounds]
            against = statistics.median(r["portolan"]["us"] / r[s.label]["us"] for r in rounds)
            qps = statistics.median(r[s.label]["qps"] for r in rounds)
            (ul, uh), (rl, rh) = spread(us), spread(ratio)
            print(f"{s.label:<10}{qps:>11.0f}{statistics.median(us):>14.3f}{ul:>9.3f}-{uh:<6.3f}"
                  f"{statistics.median(ratio):>9.2f}{rl:>8.2f}-{rh:<5.2f}{against:>13.2f}"
                  f"{sum(r[s.label]['lost'] for r in rounds):>7}")
            if s.label == "portolan" and args.limit and statistics.median(ratio) > args.limit:
                verdict = 1
        sys.exit(verdict)
    finally:
        for server in servers:
            server.stop()
        control.stop()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()

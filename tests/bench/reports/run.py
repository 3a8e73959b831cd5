#!/usr/bin/python3
"""What a sidecar's reports cost: two sidecars in one run, one with reports and one without.

    tests/bench/reports/run.py --build build [--rounds 9] [--seconds 20] [--idle 60] [--quick] [--check]

Both are fed by one control plane, each through a relay that counts the bytes of its connection, and asked at the same
time by a client each, 1,000 queries a second, one at a time: what disturbs the machine disturbs both. Printed are
medians and the spread (10th to 90th percentile).

  idle           bytes on the wire, both ways, of sidecars that nobody asks
  cpu            the scheduler's count for all threads, kernel included; the main thread makes the reports
  instructions   of an answer, with reports and without, by callgrind: does not depend on neighbours
"""
import argparse, os, shutil, socket, statistics, subprocess, sys, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "dns")]
import instructions
from programs import cpu_ns, family, free_port, thread_cpu_ns
from promises import Verdicts, spread
from servers import Bench, expect, portolan_command

WITHOUT = ("--reports=false",)
LABELS = {"with": (), "without": WITHOUT}
SERVICES = 2000
RATE = 1000
IDLE_LIMIT = 1024  # bytes a second
CPU_LIMIT = 0.01  # of the sidecar's own


class Relay:
    """Passes connections on and counts their bytes."""

    def __init__(self, to):
        self.port, self.bytes, self._to = free_port(socket.SOCK_STREAM), 0, to
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self._listener.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self._to))
            except ConnectionRefusedError:  # it is not there yet
                client.close()
                continue
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one, other):
        try:
            while data := one.recv(65536):
                self.bytes += len(data)
                other.sendall(data)
        except OSError:
            pass
        other.close()


class Sidecar:
    def __init__(self, bench, control, label):
        self.relay = Relay(control.xds)
        flags = LABELS[label]
        self.server = bench.server(label, lambda folder, port: portolan_command(
            bench.build, folder, port, self.relay.port, flags=flags))
        expect(self.server, "a", SERVICES)
        self.pid = self.server.program.pid

    def main_thread_ns(self):
        program = family(self.pid)[-1]  # behind taskset
        return thread_cpu_ns(program)[program]


def idle(sidecars, seconds, verdicts):
    time.sleep(25)  # what was asked before is reported
    before = {label: s.relay.bytes for label, s in sidecars.items()}
    time.sleep(seconds)
    rate = {label: (s.relay.bytes - before[label]) / seconds for label, s in sidecars.items()}
    print(f"\nidle: bytes a second on the wire, both ways, over {seconds} s: with reports {rate['with']:.1f}, "
          f"without {rate['without']:.1f}")
    verdicts.add("idle: bytes a second of reports", rate["with"] - rate["without"], IDLE_LIMIT, "{:.1f}")


def ask(sidecar, build, names, seconds):
    count = int(RATE * seconds)
    return subprocess.Popen(["taskset", "-c", "1", f"{build}/bin/dns_bench_latency", "--server",
                             f"127.0.0.1:{sidecar.server.port}", "--scenario", "a", "--count", str(count), "--names",
                             str(names), "--pause-us", "800"], stdout=subprocess.DEVNULL)


def one_round(sidecars, build, names, seconds):
    """CPU in microseconds a query, of all threads and of the main thread, and bytes a second. The one whose client
    begins first is woken first all along, with colder caches."""
    before = {label: (cpu_ns(s.pid), s.main_thread_ns(), s.relay.bytes) for label, s in sidecars.items()}
    began = time.monotonic()
    clients = [ask(s, build, names, seconds) for s in sidecars.values()]
    if any(c.wait() != 0 for c in clients):
        sys.exit("a client got wrong answers or none")
    took, queries = time.monotonic() - began, RATE * seconds
    return {label: ((cpu_ns(s.pid) - before[label][0]) / 1000 / queries,
                    (s.main_thread_ns() - before[label][1]) / 1000 / queries,
                    (s.relay.bytes - before[label][2]) / took, queries / took) for label, s in sidecars.items()}


def cpu(sidecars, args, names, verdicts):
    orders = [dict(sidecars), dict(reversed(sidecars.items()))]
    rounds = [one_round(orders[n % 2], args.build, names, args.seconds) for n in range(args.rounds + 1)][1:]
    print(f"\ncpu: {names} names, {statistics.median(r['with'][3] for r in rounds):.0f} queries a second, "
          f"{len(rounds)} rounds of {args.seconds} s")
    print(f"{'':<16}{'CPU us/query':>14}{'spread':>16}{'main thread':>14}{'bytes/s':>10}")
    for label in LABELS:
        us = [r[label][0] for r in rounds]
        low, high = spread(us)
        print(f"{label:<16}{statistics.median(us):>14.3f}{low:>9.3f}-{high:<6.3f}"
              f"{statistics.median(r[label][1] for r in rounds):>14.3f}"
              f"{statistics.median(r[label][2] for r in rounds):>10.0f}", flush=True)
    extra = [r["with"][0] / r["without"][0] - 1 for r in rounds]
    low, high = spread(extra)
    of_core = statistics.median((r["with"][0] - r["without"][0]) * RATE / 1e6 for r in rounds)
    print(f"reports cost {statistics.median(extra):.2%} of the sidecar's CPU ({low:.2%} to {high:.2%}), "
          f"{of_core:.3%} of a core")
    verdicts.add(f"{names} names: reports' part of the sidecar's CPU", statistics.median(extra), CPU_LIMIT, "{:.4f}")


def instructions_of(bench, control):
    if shutil.which("valgrind") is None:
        return print("\ninstructions: valgrind is not installed, left out")
    print(f"\ninstructions: of an answer, without the kernel's\n{'':<16}{'with':>10}{'without':>10}")
    for scenario in ("a", "nxdomain"):
        counted = [instructions.count(bench, control, scenario, flags) for flags in LABELS.values()]
        print(f"{scenario:<16}" + "".join(f"{c:>10.0f}" for c in counted if c is not None), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build")
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--seconds", type=int, default=20, help="of a round; a report is made every 10 s")
    p.add_argument("--idle", type=int, default=60, help="seconds")
    p.add_argument("--quick", action="store_true", help="two short rounds, for a look")
    p.add_argument("--check", action="store_true", help="exit status 1 if a promise is not held")
    args = p.parse_args()
    if args.quick:
        args.rounds, args.seconds, args.idle = 2, 10, 20

    home = tempfile.mkdtemp(prefix="portolan-reports-bench-")
    verdicts, bench = Verdicts(), Bench(args.build, home)
    try:
        control = bench.control(SERVICES)
        sidecars = {label: Sidecar(bench, control, label) for label in LABELS}
        idle(sidecars, args.idle, verdicts)
        cpu(sidecars, args, 50, verdicts)
        cpu(sidecars, args, SERVICES, verdicts)
        instructions_of(bench, control)
    finally:
        bench.stop()
        shutil.rmtree(home, ignore_errors=True)
    verdicts.print()
    sys.exit(1 if args.check and verdicts.missed else 0)


if __name__ == "__main__":
    main()

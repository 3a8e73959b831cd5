#!/usr/bin/python3
"""What a connection costs that the sidecar carries, beside haproxy, nginx and the kernel alone.

    tests/bench/forwarder/run.py --build build [--scenario connect,bulk] [--rounds 7] [--quick] [--check]

Each forwarder has one worker on core 0; clients and endpoints share core 1 and never sleep. All are
reached through the same REDIRECT in a pod's network namespace (network.py), and run as the sidecar's
user. The sidecar is fed 5,000 Services by a real control plane. Rounds are interleaved; printed are
medians and the spread (10th to 90th percentile). CPU is the scheduler's count for the forwarder's
threads, kernel included; what the kernel does for its packets on behalf of others is not in it.

  connect      connections with one exchange of 64 bytes each
  request      exchanges of 64 bytes over connections that stay open
  bulk         megabytes from endpoint to client
  policy       connections of a pod under 1,000 rules of egress policy (rules.py), beside one without
  first-byte   one connection at a time on a machine at rest, beside an nftables DNAT map
  memory       20,000 and 50,000 idle connections
  udp          exchanges of datagrams, beside nginx's stream module (udp.py)

Needs root.
"""
import argparse, os, shutil, statistics, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import memory, udp
from peers import GUARDED, PEERS, SERVICES, Bench, installed
from promises import Verdicts, spread

CPU_LIMIT, BULK_LIMIT, POLICY_LIMIT = 0.85, 0.90, 1.05


def rounds_of(peers, mode, args, count):
    """Interleaved; the first round warms caches."""
    rounds = []
    for n in range(count + 1):
        results = {p.label: p.load(mode, *args) for p in peers}
        if None in results.values():
            sys.exit(f"{mode}: a load failed")
        if n > 0:
            rounds.append(results)
    return rounds


def each(rounds, label, value):
    return [value(r[label]) for r in rounds]


def ratio(rounds, one, other, value):
    return statistics.median(value(r[one]) / value(r[other]) for r in rounds)


def median_and_spread(values, digits):
    low, high = spread(values)
    return f"{statistics.median(values):>12.{digits}f}{f'{low:.{digits}f}-{high:.{digits}f}':>20}"


def carried(peers, rounds, title, unit, per, verdicts, limit, latency_promised, beside="haproxy"):
    """`per` of a result is how many units it is."""
    def cpu(r):
        return r["cpu_us"] / per(r)

    def seconds(r):
        return r["seconds"] / per(r)

    print(f"\n{title}, {len(rounds)} rounds")
    print(f"{'':<10}{'CPU us each':>12}{'spread':>20}{'per second':>12}{'spread':>20}{'p50 us':>10}{'p99 us':>10}"
          f"{'portolan/it':>13}")
    for p in peers:
        ours = f"{ratio(rounds, 'portolan', p.label, cpu):.2f}" if p.program else ""
        used = median_and_spread(each(rounds, p.label, cpu), 1) if p.program else " " * 32
        p50, p99 = (statistics.median(r[p.label][k] for r in rounds) for k in ("p50_us", "p99_us"))
        print(f"{p.label:<10}{used}{median_and_spread(each(rounds, p.label, lambda r: 1 / seconds(r)), 1)}"
              f"{p50:>10.0f}{p99:>10.0f}{ours:>13}", flush=True)
    if beside not in rounds[0]:
        return
    verdicts.add(f"CPU per {unit}: portolan / {beside}", ratio(rounds, "portolan", beside, cpu), limit)
    verdicts.add(f"{unit} per second: {beside} / portolan", ratio(rounds, "portolan", beside, seconds), 1)
    if latency_promised:
        p99 = ratio(rounds, "portolan", beside, lambda r: r["p99_us"])
        verdicts.add(f"p99 of a {unit}: portolan / {beside}", p99, 1)


def connect(peers, args, verdicts):
    rounds = rounds_of(peers, "connect", ["--count", args.count, "--connections", 64], args.rounds)
    carried(peers, rounds, f"connect: {args.count} connections, 64 at once, one exchange each", "connection",
            lambda r: r["done"], verdicts, CPU_LIMIT, False)


def request(peers, args, verdicts):
    count = args.count * 5
    rounds = rounds_of(peers, "request", ["--count", count, "--connections", 64], args.rounds)
    carried(peers, rounds, f"request: {count} exchanges over 64 connections", "request", lambda r: r["done"], verdicts,
            CPU_LIMIT, True)


def bulk(peers, args, verdicts):
    megabytes = args.count // 5
    rounds = rounds_of(peers, "bulk", ["--count", megabytes, "--connections", 4], args.rounds)
    carried(peers, rounds, f"bulk: {megabytes} MB over 4 connections", "gigabyte", lambda r: r["bytes"] / 2**30,
            verdicts, BULK_LIMIT, False)


def policy(peers, args, verdicts):
    portolan = next(p for p in peers if p.label == "portolan")
    guarded = portolan.bench.guarded(args.xds)
    rounds = rounds_of([portolan, guarded], "connect", ["--count", args.count, "--connections", 64], args.rounds)
    carried([portolan, guarded], rounds, f"policy: {args.count} connections, 64 at once, one exchange each",
            "connection", lambda r: r["done"], verdicts, None, False, beside=None)
    verdicts.add(f"CPU per connection: with {GUARDED} / without",
                 ratio(rounds, GUARDED, "portolan", lambda r: r["cpu_us"] / r["done"]), POLICY_LIMIT)
    portolan.bench.drop(guarded)


def first_byte(peers, args, _):
    peers = [p for p in peers if p.label == "portolan"] + [peers[0].bench.dnat(), peers[0].bench.direct()]
    rounds = rounds_of(peers, "first-byte", ["--count", 1000, "--pause-us", 500], min(args.rounds, 5))
    print(f"\nfirst-byte: from dialling to the answer, 1000 connections one by one, {SERVICES} Services, {len(rounds)}"
          " rounds")
    print(f"{'':<16}{'p50 us':>12}{'spread':>20}{'p99 us':>12}{'spread':>20}")
    for p in peers:
        print(f"{p.label:<16}" + "".join(median_and_spread(each(rounds, p.label, lambda r, k=k: r[k]), 1)
                                         for k in ("p50_us", "p99_us")), flush=True)


CARRIED = {"connect": connect, "request": request, "bulk": bulk, "policy": policy, "first-byte": first_byte}
SCENARIOS = [*CARRIED, "memory", "udp"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build")
    p.add_argument("--scenario", default=",".join(SCENARIOS), help="names, with commas; default all")
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--count", type=int, default=20000, help="connections of a round; other things in proportion")
    p.add_argument("--quick", action="store_true", help="three short rounds of each, for a look")
    p.add_argument("--check", action="store_true", help="exit status 1 if a promise is not held")
    args = p.parse_args()
    if args.quick:
        args.rounds, args.count = 3, 10000
    wanted = args.scenario.split(",")
    if unknown := set(wanted) - set(SCENARIOS):
        p.error(f"--scenario: unknown: {', '.join(sorted(unknown))}")
    if os.geteuid() != 0:
        sys.exit("the forwarder's bench makes network namespaces: run it as root")
    if "PORTOLAN_BENCH_NETNS" not in os.environ:
        os.environ["PORTOLAN_BENCH_NETNS"] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, "-B", *sys.argv])
    memory.raise_descriptors()

    home = tempfile.mkdtemp(prefix="portolan-forwarder-bench-")
    verdicts, bench = Verdicts(), Bench(os.path.abspath(args.build), home)
    try:
        xds = args.xds = bench.control()
        labels = [label for label in PEERS if installed(label)]
        if set(wanted) & set(CARRIED):
            peers = [bench.peer(label, xds) for label in labels] + [bench.direct()]
            for scenario, run in CARRIED.items():
                if scenario in wanted:
                    run(peers, args, verdicts)
            for peer in peers[:-1]:
                bench.drop(peer)
        if "memory" in wanted:
            memory.run(bench, [label for label in labels if label != "nginx"], xds, verdicts)
        if "udp" in wanted:
            udp.run(bench, xds, args, verdicts, carried)
    finally:
        bench.stop()
        shutil.rmtree(home, ignore_errors=True)
    verdicts.print()
    sys.exit(1 if args.check and verdicts.missed else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""What an answer of the sidecar costs, beside other servers and the least a UDP server can do.

    tests/bench/dns/run.py --build build [--scenario a,cached] [--rounds 9] [--quick] [--check]

All servers hold the same names and run one after the other, round by round, each on core 0 with the
load on core 1, so that what disturbs the machine disturbs all alike. Printed are medians, the spread
(10th to 90th percentile), and the ratio to the floor of the same round; the floor sends replies as
long as the sidecar's. CPU is the scheduler's count for the server's threads, kernel included.

Portolan is the real sidecar with one worker, fed by a real control plane from a folder of manifests,
under the seed's Corefile (world.py). CoreDNS is not in Debian 12, so it is not here.

  a nodata nxdomain srv headless3   local answers, beside knot, nsd, unbound and dnsmasq
  cached         answers of an upstream, beside those who keep them: unbound and dnsmasq
  services       500 Services beside 50,000
  policy         local and cached answers of a pod under 1,000 rules of egress policy (rules.py), beside one without
  latency        what a client waits on a machine at rest, one query at a time
  change         one Service changed among 50,000, under full load
  memory         10,000 Services: at rest, and while the first feed loads
  endpoints      the same with 100,000 endpoints: all held, and on demand
  instructions   of the sidecar itself for an answer, by callgrind: does not depend on neighbours
"""
import argparse, os, shutil, statistics, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import change, instructions, memory, redirect, rules
from promises import Verdicts, spread
from servers import CACHES, PEERS, Bench, expect, expect_denied, installed

LOCAL = ("a", "nodata", "nxdomain", "srv", "headless3")
NAMES = 2000
FEW, MANY = 500, 50000
FLOOR_LIMIT, CACHED_LIMIT, MANY_LIMIT, POLICY_LIMIT = 1.15, 1.30, 1.10, 1.05


def rounds_of(servers, ask, count):
    """Interleaved; the first round warms caches. A server that answers wrongly is left out from then on."""
    rounds = []
    servers = list(servers)
    for n in range(count + 1):
        results = {}
        for server in list(servers):
            result = ask(server)
            if result is None:
                print(f"{server.label}: wrong or no answers, left out")
                servers.remove(server)
            else:
                results[server.label] = result
        if n > 0:
            rounds.append(results)
    labels = {s.label for s in servers}
    return servers, [{label: r[label] for label in labels} for r in rounds]


def ratios(rounds, label, to):
    return [r[label]["us"] / r[to]["us"] for r in rounds]


def print_cpu(title, servers, rounds):
    print(f"\n{title}, {len(rounds)} rounds, one core each")
    print(f"{'server':<16}{'queries/s':>10}{'CPU us/query':>14}{'spread':>16}{'x floor':>9}{'spread':>14}"
          f"{'portolan/it':>13}{'lost':>6}")
    for s in servers:
        us = [r[s.label]["us"] for r in rounds]
        floor = ratios(rounds, s.label, "floor")
        ours = statistics.median(ratios(rounds, "portolan", s.label)) if "portolan" in rounds[0] else 0
        (ul, uh), (rl, rh) = spread(us), spread(floor)
        print(f"{s.label:<16}{statistics.median(r[s.label]['qps'] for r in rounds):>10.0f}{statistics.median(us):>14.3f}"
              f"{ul:>9.3f}-{uh:<6.3f}{statistics.median(floor):>9.2f}{rl:>8.2f}-{rh:<5.2f}{format(ours, '.2f') if ours else '':>13}"
              f"{sum(r[s.label]['lost'] for r in rounds):>6}", flush=True)


def beside_floor(bench, scenario, servers, args, verdicts, limit, below=()):
    """Portolan is the first of `servers`."""
    what = f"{scenario}: portolan / floor"
    if not servers[0].wait(scenario, NAMES):
        print(f"\n{scenario}: the sidecar has no such answers")
        return verdicts.add(what, None, limit)
    probe = servers[0].load(scenario, NAMES, NAMES, args.outstanding)
    floor = bench.floor(probe["extra_bytes"])
    able = [s for s in servers[1:] if s.wait(scenario, NAMES, 5)]
    for s in set(servers[1:]) - set(able):
        print(f"{s.label} has no such answers, left out")
    able, rounds = rounds_of([floor, servers[0]] + able,
                             lambda s: s.load(scenario, NAMES, args.count, args.outstanding), args.rounds)
    floor.stop()
    print_cpu(f"{scenario}: {args.count} queries for {NAMES} names, replies {probe['extra_bytes']} bytes longer", able,
              rounds)
    verdicts.add(what, statistics.median(ratios(rounds, "portolan", "floor")), limit)
    for peer in below:
        if any(s.label == peer for s in able):
            verdicts.add(f"{scenario}: portolan / {peer}", statistics.median(ratios(rounds, "portolan", peer)), 1)


def local_answers(bench, scenarios, args, verdicts):
    servers = [bench.portolan(bench.control(NAMES, NAMES))]
    servers += [bench.peer(label, NAMES) for label in PEERS if installed(label)]
    for scenario in scenarios:
        beside_floor(bench, scenario, servers, args, verdicts, FLOOR_LIMIT, below=("nsd", "knot"))


def cached(bench, args, verdicts):
    upstream = bench.upstream(NAMES)
    if upstream is None:
        return print("\ncached: nsd is not installed, left out")
    servers = [bench.portolan(bench.control(1), upstream)]
    servers += [bench.peer(label, 1, upstream) for label in CACHES if installed(label)]
    beside_floor(bench, "cached", servers, args, verdicts, CACHED_LIMIT)


def services(bench, args, verdicts):
    sidecars = {n: bench.portolan(bench.control(n), label=f"portolan {n}") for n in (FEW, MANY)}
    for n, sidecar in sidecars.items():
        expect(sidecar, "a", n)
    floor = bench.floor(16)
    names = {f"portolan {n}": n for n in sidecars}
    able, rounds = rounds_of([floor, *sidecars.values()],
                             lambda s: s.load("a", names.get(s.label, FEW), args.count, args.outstanding), args.rounds)
    print_cpu(f"services: A of every Service in turn, {args.count} queries", able, rounds)
    verdicts.add(f"{MANY} services / {FEW} services",
                 statistics.median(ratios(rounds, f"portolan {MANY}", f"portolan {FEW}")), MANY_LIMIT)


def policy(bench, args, verdicts):
    upstream = bench.upstream(NAMES)
    if upstream is None:
        return print("\npolicy: nsd is not installed, left out")
    control = bench.control(NAMES, NAMES, others=rules.manifests([], ["*.example.org"]))
    sidecars = [bench.portolan(control, upstream),
                bench.portolan(control, upstream, label=f"{rules.RULES} rules", node=rules.NODE)]
    expect_denied(sidecars[1])
    for scenario in ("a", "cached"):
        for sidecar in sidecars:
            expect(sidecar, scenario, NAMES)
        able, rounds = rounds_of([bench.floor(16), *sidecars],
                                 lambda s: s.load(scenario, NAMES, args.count, args.outstanding), args.rounds)
        able[0].stop()
        print_cpu(f"policy: {scenario}, {args.count} queries for {NAMES} names", able, rounds)
        verdicts.add(f"{scenario}: with {rules.RULES} rules / without",
                     statistics.median(ratios(rounds, sidecars[1].label, "portolan")), POLICY_LIMIT)


def latency(bench, args, _):
    servers = [bench.floor(16), bench.portolan(bench.control(NAMES, NAMES))]
    servers += [bench.peer(label, NAMES) for label in PEERS if installed(label)]
    for server in servers[1:]:
        expect(server, "a", NAMES)
    able, rounds = rounds_of(
        servers, lambda s: s.ask("latency", "a", "--count", 1000, "--names", NAMES, "--pause-us", 500),
        min(args.rounds, 5))
    print(f"\nlatency: A, one query at a time, 1000 queries, a pause of 0.5 ms before each, {len(rounds)} rounds, over"
          " loopback")
    print(f"{'server':<16}{'p50 us':>10}{'spread':>16}{'p99 us':>10}{'spread':>16}")
    for s in able:
        p50, p99 = ([r[s.label][p] for r in rounds] for p in ("p50_us", "p99_us"))
        (ml, mh), (nl, nh) = spread(p50), spread(p99)
        print(f"{s.label:<16}{statistics.median(p50):>10.1f}{ml:>9.1f}-{mh:<6.1f}{statistics.median(p99):>10.1f}"
              f"{nl:>9.1f}-{nh:<6.1f}")
    redirect.run(args.build)


OTHERS = {"cached": cached, "services": services, "policy": policy, "latency": latency, "change": change.run,
          "memory": memory.run, "endpoints": memory.run_endpoints, "instructions": instructions.run}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build")
    p.add_argument("--scenario", default=",".join([*LOCAL, *OTHERS]), help="names, with commas; default all")
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--count", type=int, default=100000, help="queries of a round")
    p.add_argument("--outstanding", type=int, default=128)
    p.add_argument("--quick", action="store_true", help="three short rounds of each, for a look")
    p.add_argument("--check", action="store_true", help="exit status 1 if a promise is not held")
    args = p.parse_args()
    if args.quick:
        args.rounds, args.count = 3, 40000
    wanted = args.scenario.split(",")
    if unknown := set(wanted) - {*LOCAL, *OTHERS}:
        p.error(f"--scenario: unknown: {', '.join(sorted(unknown))}")

    home = tempfile.mkdtemp(prefix="portolan-dns-bench-")
    verdicts, bench = Verdicts(), Bench(args.build, home)
    try:
        if any(s in LOCAL for s in wanted):
            local_answers(bench, [s for s in LOCAL if s in wanted], args, verdicts)
            bench.stop()
        for scenario, run in OTHERS.items():
            if scenario in wanted:
                run(bench, args, verdicts)
                bench.stop()
    finally:
        bench.stop()
        shutil.rmtree(home, ignore_errors=True)
    verdicts.print()
    sys.exit(1 if args.check and verdicts.missed else 0)


if __name__ == "__main__":
    main()

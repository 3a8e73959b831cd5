"""Memory of the sidecar with 10,000 ClusterIP Services, fed over TLS and saving its state: at rest, and at most while
the first feed loads; and what its resident pages are. And with 100,000 endpoints behind them, all held or those of
the Services that the pod asked for."""
import collections, os, time

from servers import expect

SERVICES = 10000
AT_REST_LIMIT, LOADING_LIMIT, RSS_LIMIT = 8.0, 12.0, 26.0  # MB
# How long it is watched for its peak, and then left alone before it counts as at rest.
LOADING_SECONDS, REST_SECONDS = 5, 5
# Of endpoints: how many a Service has, and how many Services the pod asks for.
ENDPOINTS, USED = 10, 100
KINDS = ("Private_Dirty", "Private_Clean", "Shared_Clean", "Shared_Dirty")
MAPPINGS_SHOWN = 12


def measure(pid):
    """Private dirty and resident memory, MB."""
    fields = {}
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f.readlines()[1:]:
            name, value = line.split(":")
            fields[name] = int(value.split()[0]) / 1024
    return fields["Private_Dirty"], fields["Rss"]


def by_mapping(pid):
    """MB of each kind of page, by the file that is mapped or what the kernel calls it."""
    mappings, name = collections.defaultdict(collections.Counter), ""
    with open(f"/proc/{pid}/smaps") as f:
        for line in f:
            key, *values = line.split()
            if not key.endswith(":"):
                name = os.path.basename(values[4]) if len(values) > 4 else "anonymous"
            elif key[:-1] in KINDS:
                mappings[name][key[:-1]] += int(values[0]) / 1024
    return mappings


def print_split(pid):
    mappings = by_mapping(pid)
    total = sum(mappings.values(), collections.Counter())
    rows = sorted(mappings.items(), key=lambda row: -row[1].total())
    others = sum((kinds for _, kinds in rows[MAPPINGS_SHOWN:]), collections.Counter())
    rows = rows[:MAPPINGS_SHOWN] + [(f"{max(len(rows) - MAPPINGS_SHOWN, 0)} others", others), ("all", total)]
    print(f"\n{'resident pages, MB':<32}" + "".join(f"{k.replace('_', ' ').lower():>15}" for k in KINDS) + f"{'all':>8}")
    for name, kinds in rows:
        print(f"{name:<32}" + "".join(f"{kinds[k]:>15.1f}" for k in KINDS) + f"{kinds.total():>8.1f}")


def run(bench, args, verdicts):
    os.sync()  # or pages of a program just built count as dirty
    control = bench.control(SERVICES, tls=True)
    time.sleep(2)  # so that the feed comes at once
    sidecar = bench.portolan(control, saves=True)
    pid, peak = sidecar.program.pid, 0.0  # taskset becomes what it starts
    until = time.monotonic() + LOADING_SECONDS
    while time.monotonic() < until and sidecar.program.running():
        try:
            peak = max(peak, measure(pid)[0])
        except (OSError, KeyError):
            pass  # it has only begun
        time.sleep(0.002)
    expect(sidecar, "a", USED)
    time.sleep(REST_SECONDS)
    dirty, rss = measure(pid)
    print(f"\nmemory: {SERVICES} Services over TLS, {USED} asked for: private dirty {dirty:.1f} MB at rest,"
          f" {peak:.1f} MB at most while loading; resident {rss:.1f} MB")
    print_split(pid)
    verdicts.add(f"memory: private dirty at rest, {SERVICES} services, MB", dirty, AT_REST_LIMIT, "{:.1f}")
    verdicts.add("memory: private dirty at most while the feed loads, MB", peak, LOADING_LIMIT, "{:.1f}")
    verdicts.add("memory: resident, over TLS, MB", rss, RSS_LIMIT, "{:.1f}")
    expect(sidecar, "a", SERVICES)
    time.sleep(REST_SECONDS)
    print(f"memory: {measure(pid)[0]:.1f} MB private dirty once the pod has asked for all of them")


def run_endpoints(bench, args, verdicts):
    control = bench.control(SERVICES, tls=True, endpoints=ENDPOINTS)
    time.sleep(5)
    print(f"\nmemory: {SERVICES} Services with {SERVICES * ENDPOINTS} endpoints over TLS, private dirty MB (resident)")
    for label, flags in (("eager", ("--endpoints", "eager")), ("on demand", ())):
        sidecar = bench.portolan(control, label=f"sidecar {label}", saves=True, flags=flags)
        time.sleep(REST_SECONDS)
        for used in (0, USED):
            if used:
                expect(sidecar, "a", used)
                time.sleep(REST_SECONDS)
            dirty, rss = measure(sidecar.program.pid)
            print(f"{label:<12}{used:>6} Services asked for{dirty:>10.1f} ({rss:.1f})", flush=True)
        sidecar.stop()

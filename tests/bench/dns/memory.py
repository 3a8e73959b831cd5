"""Memory of the sidecar with 10,000 ClusterIP Services: at rest, and at most while the first feed loads."""
import time

from servers import expect

SERVICES = 10000
AT_REST_LIMIT, LOADING_LIMIT, RSS_LIMIT = 8.0, 12.0, 26.0  # MB
# How long it is watched for its peak, and then left alone before it counts as at rest.
LOADING_SECONDS, REST_SECONDS = 5, 5


def measure(pid):
    """Private dirty and resident memory, MB."""
    fields = {}
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f.readlines()[1:]:
            name, value = line.split(":")
            fields[name] = int(value.split()[0]) / 1024
    return fields["Private_Dirty"], fields["Rss"]


def run(bench, args, verdicts):
    control = bench.control(SERVICES)
    time.sleep(2)  # so that the feed comes at once
    sidecar = bench.portolan(control)
    pid, peak = sidecar.program.pid, 0.0  # taskset becomes what it starts
    until = time.monotonic() + LOADING_SECONDS
    while time.monotonic() < until and sidecar.program.running():
        try:
            peak = max(peak, measure(pid)[0])
        except (OSError, KeyError):
            pass  # it has only begun
        time.sleep(0.002)
    expect(sidecar, "a", SERVICES)
    time.sleep(REST_SECONDS)
    dirty, rss = measure(pid)
    print(f"\nmemory: {SERVICES} Services: private dirty {dirty:.1f} MB at rest, {peak:.1f} MB at most while loading;"
          f" resident {rss:.1f} MB")
    verdicts.add(f"memory: private dirty at rest, {SERVICES} services, MB", dirty, AT_REST_LIMIT, "{:.1f}")
    verdicts.add("memory: private dirty at most while the feed loads, MB", peak, LOADING_LIMIT, "{:.1f}")
    verdicts.add("memory: resident, MB", rss, RSS_LIMIT, "{:.1f}")

"""What an idle connection costs of the forwarder's own memory: private dirty pages less those at start, divided."""
import json, resource, subprocess, sys, time

from programs import family

CONNECTIONS = (20000, 50000)
LIMIT = 2.0  # KB
REST_SECONDS = 2
# Two for a connection, and those that the sidecar keeps for other things.
DESCRIPTORS_EACH, DESCRIPTORS_BESIDE = 8 / 3, 300


def raise_descriptors():
    """As far as the counts want, where this process may."""
    wanted = int(CONNECTIONS[-1] * DESCRIPTORS_EACH) + DESCRIPTORS_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, soft), max(wanted, hard)))
    except ValueError:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def counts():
    """CONNECTIONS, or fewer where the descriptors do not suffice."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = int((limit - DESCRIPTORS_BESIDE) / DESCRIPTORS_EACH)
    if most < CONNECTIONS[-1]:
        print(f"\nmemory: {limit} descriptors, which this process may not raise, suffice for {most} connections")
    return sorted({min(count, most) for count in CONNECTIONS})


def private_dirty_kb(pid):
    total = 0
    for process in family(pid):
        with open(f"/proc/{process}/smaps_rollup") as f:
            total += sum(int(line.split()[1]) for line in f if line.startswith("Private_Dirty:"))
    return total


def hold(peer, count):
    """KB for each of `count` connections."""
    before = private_dirty_kb(peer.program.pid)
    load = subprocess.Popen(peer.command("hold", "--count", count, "--connections", 64, "--seconds", 60),
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    held = json.loads(load.stdout.readline())
    if held["done"] != count or held["failed"] > 0:
        load.kill()
        sys.exit(f"memory: {peer.label} held {held} of {count} connections")
    time.sleep(REST_SECONDS)
    each = (private_dirty_kb(peer.program.pid) - before) / count
    load.communicate("\n")
    return each


def run(bench, labels, xds, verdicts):
    numbers = counts()
    print(f"\nmemory: private dirty KB for an idle connection\n{'':<10}" + "".join(f"{n:>10}" for n in numbers))
    for label in labels:
        # Of one just started: what many connections left behind would hide what the next ones cost.
        each = []
        for count in numbers:
            peer = bench.peer(label, xds)
            time.sleep(REST_SECONDS)
            each.append(hold(peer, count))
            bench.drop(peer)
        print(f"{label:<10}" + "".join(f"{kb:>10.2f}" for kb in each), flush=True)
        if label == "portolan":
            for count, kb in zip(numbers, each):
                verdicts.add(f"memory: KB for each of {count} idle connections", kb, LIMIT)

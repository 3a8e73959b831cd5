"""What the way of a pod's question adds: REDIRECT to the sidecar's port, in a network namespace of its own."""
import json, os, shutil, statistics, subprocess

ROUNDS, COUNT, PAUSE_US = 5, 1000, 500
# The floor answers, so that nothing but the way is measured.
SCRIPT = """
ip link set lo up && ip address add 10.43.0.10/32 dev lo || exit 1
iptables -t nat -A OUTPUT -p udp -d 10.43.0.10 --dport 53 -j REDIRECT --to-ports 15053 || exit 1
taskset -c 0 {build}/bin/dns_bench_floor 127.0.0.1:15053 16 & floor=$!
sleep 0.3
for round in $(seq {rounds}); do
  for server in 127.0.0.1:15053 10.43.0.10:53; do
    taskset -c 1 {build}/bin/dns_bench_latency --server $server --unchecked --count {count} --pause-us {pause}
  done
done
kill $floor
"""


def run(build):
    if os.geteuid() != 0 or shutil.which("iptables") is None:
        return print("redirect: wants root and iptables, left out")
    script = SCRIPT.format(build=build, rounds=ROUNDS, count=COUNT, pause=PAUSE_US)
    out = subprocess.run(["unshare", "--net", "sh", "-c", script], capture_output=True, text=True, timeout=120)
    waits = [json.loads(line)["p50_us"] for line in out.stdout.splitlines()]
    if len(waits) != 2 * ROUNDS:
        return print(f"redirect: {out.stderr.strip()}, left out")
    direct, redirected = (statistics.median(waits[n::2]) for n in (0, 1))
    print(f"on a pod's way, through REDIRECT: p50 {redirected - direct:+.1f} us ({direct:.1f} us without)")

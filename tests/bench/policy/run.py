#!/usr/bin/python3
"""What a verdict of the sidecar's policies costs at 10, 1,000 and 10,000 rules: compiled as the sidecar has them, and
by a walk over all of them as its peer in the same run. Exit status 1 if a promise is missed.

    tests/bench/policy/run.py --build build [--quick]

Promised: a verdict takes less than 1 us at 10,000 rules, whatever they have in common.
"""
import argparse, json, os, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from promises import Verdicts

RULES = (10, 1_000, 10_000)
CASES = {"peers": "pods, each in ten sets", "blocks": "blocks apart from each other",
         "nested": "blocks around one IPv4 address, 32 deep", "nested6": "blocks around one IPv6 address, 128 deep",
         "names": "names, every second a wildcard"}


def measure(build, quick):
    """{"peers/10/compiled": (wall ns, CPU ns), ...}, the median of some repetitions."""
    command = [f"{os.path.abspath(build)}/bin/policy_bench", "--benchmark_format=json",
               f"--benchmark_min_time={0.02 if quick else 0.2}", f"--benchmark_repetitions={3 if quick else 7}",
               "--benchmark_report_aggregates_only=true"]
    rows = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)["benchmarks"]
    failed = [f"{row['name']}: {row['error_message']}" for row in rows if row.get("error_occurred")]
    if failed:
        sys.exit("\n".join(failed))
    return {row["run_name"]: (row["real_time"], row["cpu_time"]) for row in rows if row["aggregate_name"] == "median"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--quick", action="store_true", help="shorter, for a look")
    options = parser.parse_args()
    took = measure(options.build, options.quick)
    promises = Verdicts()
    print(f"{'rules for':<44}{'rules':>8}{'a verdict':>12}{'CPU':>10}{'a walk':>14}{'ratio':>10}")
    for case, words in CASES.items():
        for rules in RULES:
            (wall, cpu), (walk, _) = took[f"{case}/{rules}/compiled"], took[f"{case}/{rules}/walk"]
            print(f"{words:<44}{rules:>8,}{wall:>9.0f} ns{cpu:>7.0f} ns{walk:>11,.0f} ns{wall / walk:>10.5f}")
        promises.add(f"a verdict at 10,000 rules, us of CPU: {case}", cpu / 1000, 1.0)
    promises.print()
    sys.exit(1 if promises.missed else 0)


main()

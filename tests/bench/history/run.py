#!/usr/bin/python3
"""An hour of 100 changes a second in a cluster of 10,000 Services and 100,000 endpoints, kept by the history.

    tests/bench/history/run.py --build build [--quick] [--check]

The clock is simulated; writer, file and questions are the real ones (hour.cc). Four Services have 5,000 endpoints and a
twentieth of the changes, the others 8 each. The peer writes the whole Service as JSON into a table of SQLite, for the
first changes alone: an hour of that does not fit a disk.
"""
import argparse, json, os, shutil, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
from promises import Verdicts

MAX_BYTES = 256_000_000
AT_MS, CPU_US, RECORD_US = 50, 1000, 50


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--quick", action="store_true", help="six minutes instead of an hour")
    parser.add_argument("--check", action="store_true", help="exit status 1 if a promise is not held")
    options = parser.parse_args()
    changes, peer = (36_000, 500) if options.quick else (360_000, 2_000)
    folder = tempfile.mkdtemp(prefix="history-bench-")
    try:
        run = subprocess.run([f"{os.path.abspath(options.build)}/bin/history_bench_hour", folder, str(changes), str(peer),
                              str(MAX_BYTES)], stdout=subprocess.PIPE, text=True)
    finally:
        shutil.rmtree(folder)
    if run.returncode != 0:
        return 1
    got = json.loads(run.stdout)
    bytes_a_change = got["largestMb"] * 1e6 / got["changes"]
    print(f"{got['changes']:,} changes, {got['entries']:,} entries, {got['keptS']:,.0f} s of them kept")
    print(f"{'':<24}{'history':>12}{'full JSON':>12}{'ratio':>8}")
    for what, ours, theirs in (("bytes a change", bytes_a_change, got["peerBytes"]),
                               ("CPU a change, us", got["cpuUs"], got["peerCpuUs"])):
        print(f"{what:<24}{ours:>12,.0f}{theirs:>12,.0f}{ours / theirs:>8.3f}")
    for what, key in (("at, any Service", "atMs"), ("at, 5,000 endpoints", "atLargeMs")):
        at = got[key]
        print(f"{what:<24}p50 {at['p50']:.2f} ms, p99 {at['p99']:.2f}, longest {at['max']:.2f}")
    print(f"first commit: {got['firstCommitCpuS']:.2f} s of CPU; a restart: {got['checkS']:.2f} s to check the file, "
          f"{got['restartS']:.2f} s to compare, {got['entriesOfRestart']} entries")
    verdicts = Verdicts()
    verdicts.add("largest file with its log, MB", got["largestMb"], MAX_BYTES / 1e6)
    verdicts.add("p99 of a question about a moment, ms", got["atMs"]["p99"], AT_MS)
    verdicts.add("the same of 5,000 endpoints, ms", got["atLargeMs"]["p99"], AT_MS)
    verdicts.add("CPU of the history's thread for a change, us", got["cpuUs"], CPU_US)
    verdicts.add("CPU of the loop for a commit, us", got["recordUs"], RECORD_US)
    verdicts.add("entries of a restart without a change", got["entriesOfRestart"], 0)
    verdicts.print()
    return 1 if options.check and verdicts.missed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""The table of learned addresses: what each operation costs, and whether an address is found by who
connects after it was learned, in a million rounds (exit status 1 if not).

    tests/bench/learned/run.py --build build
"""
import argparse, os, subprocess, sys

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", default="build")
sys.exit(subprocess.run([f"{os.path.abspath(parser.parse_args().build)}/bin/learned_bench"]).returncode)

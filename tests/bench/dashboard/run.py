#!/usr/bin/python3
"""A page of names out of 10,000 Services, and what a change costs the index of names.

    tests/bench/dashboard/run.py --build build
"""
import argparse, os, subprocess, sys

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", default="build")
sys.exit(subprocess.run([f"{os.path.abspath(parser.parse_args().build)}/bin/dashboard_bench_names"]).returncode)

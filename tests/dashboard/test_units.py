"""The parts of the page that need no browser, run by node's own test runner (tests/dashboard/unit)."""

import os
import subprocess
from pathlib import Path

from .browser import NODE_MODULES

_UNIT = Path(__file__).resolve().parent / "unit"
# Far from UTC, by half an hour.
_ENVIRONMENT = {**os.environ, "TZ": "Asia/Kolkata", "NODE_PATH": str(NODE_MODULES)}


def test_units(tmp_path):
    built = [str(file) for file in sorted(_UNIT.glob("*.test.ts"))]
    for argv in (["node", str(NODE_MODULES / "esbuild" / "bin" / "esbuild"), *built, "--bundle", "--platform=node",
                  "--format=esm", "--out-extension:.js=.mjs", f"--outdir={tmp_path}", "--log-level=warning"],
                 ["node", "--test", str(tmp_path)]):
        done = subprocess.run(argv, env=_ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=60)
        assert done.returncode == 0, done.stdout

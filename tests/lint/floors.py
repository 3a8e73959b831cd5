"""A lower floor never includes a higher one: common < directory < dns, xds < proxy; injector stands on
common alone; ctl on top of all. xds/api is what control plane and sidecar say to each other (the messages and
their codec), so it is a floor of its own, below both."""

import re
import subprocess
import sys

ALLOWED = {
    "common": {"common"},
    "directory": {"common", "directory"},
    "dns": {"common", "directory", "dns"},
    "xds/api": {"common", "directory", "xds/api"},
    "xds": {"common", "directory", "xds/api", "xds"},
    "proxy": {"common", "directory", "dns", "xds/api", "proxy"},
    "injector": {"common", "injector"},
    "ctl": {"common", "directory", "dns", "xds/api", "xds", "proxy", "injector", "ctl"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def floor_of(path: str) -> str:
    return "xds/api" if path.startswith("xds/api/") else path.split("/")[0]


def main() -> int:
    files = subprocess.run(
        ["git", "ls-files", "*.h", "*.cc"], check=True, capture_output=True, text=True
    ).stdout.split()
    faults = 0
    for path in files:
        allowed = ALLOWED.get(floor_of(path))
        if allowed is None:
            continue
        with open(path, encoding="utf-8") as source:
            for number, line in enumerate(source, 1):
                match = INCLUDE.match(line)
                if match is None:
                    continue
                floor = floor_of(match.group(1))
                if floor in ALLOWED and floor not in allowed:
                    print(f"{path}:{number}: {match.group(1)} is on a higher floor")
                    faults += 1
    print(f"floors: {len(files)} files, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

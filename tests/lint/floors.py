"""A lower floor never includes a higher one: common < directory < dns, xds < proxy; injector stands on
common alone; ctl on top of all. xds/api is generated messages that the sidecar shares."""

import re
import subprocess
import sys

ALLOWED = {
    "common": {"common"},
    "directory": {"common", "directory"},
    "dns": {"common", "directory", "dns"},
    "xds": {"common", "directory", "xds"},
    "proxy": {"common", "directory", "dns", "proxy"},
    "injector": {"common", "injector"},
    "ctl": {"common", "directory", "dns", "xds", "proxy", "ctl"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def main() -> int:
    files = subprocess.run(
        ["git", "ls-files", "*.h", "*.cc"], check=True, capture_output=True, text=True
    ).stdout.split()
    faults = 0
    for path in files:
        allowed = ALLOWED.get(path.split("/")[0])
        if allowed is None:
            continue
        with open(path, encoding="utf-8") as source:
            for number, line in enumerate(source, 1):
                match = INCLUDE.match(line)
                if match is None:
                    continue
                floor = match.group(1).split("/")[0]
                if floor in ALLOWED and floor not in allowed:
                    print(f"{path}:{number}: {match.group(1)} is on a higher floor")
                    faults += 1
    print(f"floors: {len(files)} files, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

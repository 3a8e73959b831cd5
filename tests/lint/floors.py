"""A lower floor never includes a higher one: common < directory < dns, xds < proxy; policy, which judges connections,
stands on dns for names; injector stands on common alone; ctl on top of all. xds/api is what control plane and sidecar
say to each other (the messages and their codec), so it is a floor of its own, below both. xds/dashboard answers
records with the sidecar's own DNS code and judges connections as the sidecar does, so it stands on dns and policy as
well; of xds the control plane alone, which serves it, may include it."""

import re
import subprocess
import sys

ALLOWED = {
    "common": {"common"},
    "directory": {"common", "directory"},
    "dns": {"common", "directory", "dns"},
    "policy": {"common", "directory", "dns", "policy"},
    "xds/api": {"common", "directory", "xds/api"},
    "xds": {"common", "directory", "xds/api", "xds"},
    "xds/dashboard": {"common", "directory", "xds/api", "xds", "xds/dashboard", "dns", "policy"},
    "proxy": {"common", "directory", "dns", "policy", "xds/api", "proxy"},
    "injector": {"common", "injector"},
    "ctl": {"common", "directory", "dns", "policy", "xds/api", "xds", "xds/dashboard", "proxy", "injector", "ctl"},
}
# The one room of `xds` that is above the dashboard.
OVER_DASHBOARD = {"xds/control_plane.h", "xds/control_plane.cc", "xds/main.cc"}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def floor_of(path: str) -> str:
    for floor in ("xds/api", "xds/dashboard"):
        if path.startswith(floor + "/"):
            return floor
    return path.split("/")[0]


def allowed_of(path: str) -> set[str] | None:
    allowed = ALLOWED.get(floor_of(path))
    return allowed | {"xds/dashboard"} if path in OVER_DASHBOARD else allowed


def main() -> int:
    files = subprocess.run(
        ["git", "ls-files", "*.h", "*.cc"], check=True, capture_output=True, text=True
    ).stdout.split()
    faults = 0
    for path in files:
        allowed = allowed_of(path)
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

"""What tests take from npm: fetched once into the build folder, as package-lock.json lists it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from lab.tools import TREE

BUILD = Path(os.environ.get("PORTOLAN_BIN", TREE / "build" / "bin")).resolve().parent
# Retries wait 5 s at most instead of a minute: where there is no way to the registry, that is soon said.
_FLAGS = ["--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retry-mintimeout=1000",
          "--fetch-retry-maxtimeout=5000"]
# npm's words for what is wrong with our own files. All else is the way to the registry (names, connections, the
# certificates of a proxy between) or a mirror that has not everything.
_OURS = ("EINTEGRITY", "EJSONPARSE", "EUSAGE")


class NpmError(Exception):
    """npm is not there, or what we ask it for makes no sense."""


def fetch(lists: Path, into: Path, *flags: str) -> str:
    """Installs what package.json and package-lock.json in `lists` name; why not, where npm is not reached."""
    into.mkdir(parents=True, exist_ok=True)
    lock = (lists / "package-lock.json").read_bytes()
    installed = into / "installed"
    if installed.exists() and installed.read_bytes() == lock:
        return ""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(lists / name, into)
    try:
        done = subprocess.run(["npm", "ci", *_FLAGS, *flags], cwd=into, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=300)
    except FileNotFoundError:
        raise NpmError("npm is not installed: ./dev test installs it") from None
    except subprocess.TimeoutExpired:
        return "npm cannot be reached: no answer in 300 s"
    if done.returncode == 0:
        installed.write_bytes(lock)
        return ""
    code = re.search(r"npm (?:ERR!|error) code (\S+)", done.stdout)
    if code is None or code[1] in _OURS:
        raise NpmError(f"npm ci failed\n{done.stdout}")
    return f"npm cannot fetch what the test needs: {code[1]}"

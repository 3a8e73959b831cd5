"""pytest with pod addresses: the run moves into the lab's namespaces, where the loopback interface has them.

What comes from npm is fetched before that, as there is no way out afterwards.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from lab import namespaces  # noqa: E402
from lab.tools import TREE, run  # noqa: E402

HERE = Path(__file__).resolve().parent
BUILD = Path(os.environ.get("PORTOLAN_BIN", TREE / "build" / "bin")).resolve().parent
NPM = BUILD / "tests" / "third_party_npm"
POD_ADDRESSES = [f"10.42.0.{number}" for number in range(1, 9)]

_NO_NPM = "PORTOLAN_NO_NPM"
# npm's words for what is wrong with our own files. All else is the way to the registry (names, connections, the
# certificates of a proxy between) or a mirror that has not everything.
_OURS = ("EINTEGRITY", "EJSONPARSE", "EUSAGE")


def pytest_cmdline_main(config):
    """Before anything is collected: run this very command again, inside. Its exit status is ours."""
    if namespaces.inside() or config.option.collectonly:
        return None
    os.environ[_NO_NPM] = _fetch_packages()
    return namespaces.run_inside([sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider",
                                  *config.invocation_params.args])


def _fetch_packages() -> str:
    """Installs what package-lock.json lists into the build folder; why not, where npm is not reached."""
    NPM.mkdir(parents=True, exist_ok=True)
    lock = (HERE / "package-lock.json").read_bytes()
    installed = NPM / "installed"
    if installed.exists() and installed.read_bytes() == lock:
        return ""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, NPM)
    try:
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=NPM, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    except FileNotFoundError:
        raise pytest.UsageError("npm is not installed: ./dev test installs it") from None
    except subprocess.TimeoutExpired:
        return "npm cannot be reached: no answer in 300 s"
    if done.returncode == 0:
        installed.write_bytes(lock)
        return ""
    code = re.search(r"npm ERR! code (\S+)", done.stdout)
    if code is None or code[1] in _OURS:
        raise pytest.UsageError(f"npm ci failed\n{done.stdout}")
    return f"npm cannot fetch what the test needs: {code[1]}"


@pytest.fixture(scope="session")
def npm() -> Path:
    """The folder node_modules; without npm the test is skipped."""
    if reason := os.environ[_NO_NPM]:
        pytest.skip(reason)
    return NPM / "node_modules"


@pytest.fixture(scope="session", autouse=True)
def network():
    run(["ip", "link", "set", "lo", "up"])
    for address in POD_ADDRESSES:
        run(["ip", "address", "add", f"{address}/32", "dev", "lo"])

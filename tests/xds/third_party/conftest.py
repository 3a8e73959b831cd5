"""pytest with pod addresses: the run moves into the lab's namespaces, where the loopback interface has them.

What comes from npm is fetched before that, as there is no way out afterwards.
"""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import npm_packages  # noqa: E402
from lab import namespaces  # noqa: E402
from lab.tools import run  # noqa: E402
from npm_packages import BUILD  # noqa: E402

HERE = Path(__file__).resolve().parent
NPM = BUILD / "tests" / "third_party_npm"
POD_ADDRESSES = [f"10.42.0.{number}" for number in range(1, 9)]

_NO_NPM = "PORTOLAN_NO_NPM"


def pytest_cmdline_main(config):
    """Before anything is collected: run this very command again, inside. Its exit status is ours."""
    if namespaces.inside() or config.option.collectonly:
        return None
    os.environ[_NO_NPM] = _fetch_packages()
    return namespaces.run_inside([sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider",
                                  *config.invocation_params.args])


def _fetch_packages() -> str:
    """Why not, where npm is not reached."""
    try:
        return npm_packages.fetch(HERE, NPM)
    except npm_packages.NpmError as error:
        raise pytest.UsageError(str(error)) from None


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

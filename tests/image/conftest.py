"""The image is unpacked and tried within the walls of the lab."""

import os
import sys
from pathlib import Path

import pytest

from lab import namespaces

from .unpack import Image


def pytest_cmdline_main(config):
    """Run this very command again, inside. Its exit status is ours."""
    if namespaces.inside() or config.option.collectonly:
        return None
    return namespaces.run_inside([sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider",
                                  *config.invocation_params.args])


@pytest.fixture(scope="session")
def image():
    archive = os.environ.get("PORTOLAN_IMAGE")
    if not archive:
        pytest.fail("PORTOLAN_IMAGE names no image: ./dev image sets it")
    return Image(Path(archive), namespaces.RUN / "image")

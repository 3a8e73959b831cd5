"""The dashboard in a browser, served by a real portolan-control."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from dashboard.browser import Browser  # noqa: E402
from dashboard.worlds import Large, Small  # noqa: E402


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A cluster of a dozen names, from a folder of manifests, with one sidecar."""
    with Small(tmp_path_factory.mktemp("small")) as made:
        yield made


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    """10,000 Services with 100,000 endpoints, from an API server."""
    with Large(tmp_path_factory.mktemp("large"), services=10_000, endpoints=100_000) as made:
        yield made


@pytest.fixture(scope="session")
def _chromium():
    browsers: dict[str, Browser] = {}
    yield lambda base: browsers.setdefault(base, Browser(base))
    for browser in browsers.values():
        browser.quit()


def _fresh(browser: Browser):
    browser.prefer()
    browser.open()
    browser.run("localStorage.clear()")
    browser.errors()
    yield browser
    assert browser.errors() == []


@pytest.fixture
def browser(_chromium, small):
    """On the page of the small cluster."""
    yield from _fresh(_chromium(small.base))


@pytest.fixture
def large_browser(_chromium, large):
    yield from _fresh(_chromium(large.base))

"""The dashboard on the lab's cluster, in Debian's Chromium: what an operator sees of real pods and their sidecars.

With $PORTOLAN_SCREENSHOTS each page is pictured there, as docs/dashboard.md shows it.
"""

import time

import pytest
from selenium.webdriver.common.keys import Keys

from dashboard.browser import Browser

from .control_plane import HTTP
from .tools import sanitized

_WITHIN = 1 if not sanitized() else 10
# A sidecar reports every 10 s.
_REPORTED = 25
_NAME = "#/names/default/backend"


@pytest.fixture(scope="module")
def chromium(cluster):
    made = Browser(f"http://{HTTP}")
    yield made
    made.quit()


@pytest.fixture
def browser(chromium):
    chromium.open()
    chromium.errors()
    chromium.wait_text("live", ".live")
    yield chromium
    assert chromium.errors() == []
    assert chromium.axe() == []


def _node(pod) -> str:
    return f"{pod.sandbox.namespace}/{pod.sandbox.name}"


def _addresses(browser) -> set:
    return {row[0] for row in browser.rows("Endpoints")}


def _button(browser, words: str) -> None:
    browser.run("[...document.querySelectorAll('main button')].find((b) => b.innerText.includes(arguments[0])).click()",
                words)


def test_search_and_open_a_name(cluster, browser):
    browser.wait_text("default/dual-headless")
    browser.picture("names")
    browser.search("default/backend")
    browser.wait(lambda: [row[0] for row in browser.rows()][:1] == ["default/backend"], "backend")
    browser.press(Keys.ARROW_DOWN)
    browser.press(Keys.ARROW_DOWN, Keys.ENTER)
    browser.wait_text("backend.default.svc.cluster.local")
    browser.wait(lambda: _addresses(browser) == {pod.ip for pod in cluster.members("backend")}, "its endpoints")
    assert ["A", "10.43.0.123"] in [row[3:] for row in browser.rows("Records")]


def test_scaling_a_deployment_is_on_the_page_within_a_second(cluster, browser):
    browser.go(_NAME)
    browser.wait_text("Endpoints")
    before = {pod.ip for pod in cluster.members("backend")}
    added = cluster.add_replica("backend", listed=False)
    assert _addresses(browser) == before
    listed = cluster.list_pod(added)
    browser.wait(lambda: _addresses(browser) == before | {added.ip}, "the new pod", timeout=5)
    assert time.monotonic() - listed < _WITHIN
    browser.wait_text("scaled-up", ".timeline")
    unlisted = cluster.unlist_pod(added)
    browser.wait(lambda: _addresses(browser) == before, "the pod is gone", timeout=5)
    assert time.monotonic() - unlisted < _WITHIN
    browser.wait_text("scaled-down", ".timeline")
    browser.picture("name")
    cluster.stop_pod(added)


def test_time_travel_shows_what_the_name_led_to_then(cluster, browser):
    browser.go(_NAME)
    browser.wait_text("scaled-up", ".timeline")
    now = _addresses(browser)
    browser.run("""[...document.querySelectorAll('.timeline li')].find((li) => li.innerText.includes('scaled-up'))
        .querySelector('button').click()""")
    browser.wait(lambda: len(_addresses(browser)) == len(now) + 1, "the pod that has gone since")
    assert "As it was at" in browser.text(".clock")
    browser.picture("time-travel")
    _button(browser, "change before")
    browser.wait(lambda: len(_addresses(browser)) <= len(now), "before it came")
    _button(browser, "Live")
    browser.wait(lambda: _addresses(browser) == now, "now")


def test_sidecars_are_listed_with_their_lag(cluster, frontend, browser):
    browser.go("#/sidecars")
    browser.wait(lambda: any(row[0] == _node(frontend) for row in browser.rows("Sidecars")), "the frontend's")
    browser.wait(lambda: browser.text(".heat-cells") != "", "the lag of one", timeout=_REPORTED)
    browser.picture("sidecars")
    browser.go(f"#/sidecars/{_node(frontend)}")
    browser.wait_text("DNS queries", timeout=_REPORTED)
    browser.picture("sidecar")


def test_explain_shows_the_way_out_of_a_pod(frontend, browser):
    browser.go(f"#/explain?pod={_node(frontend)}&name=backend&clusterDns=true")
    browser.wait_text("10.43.0.123", ".way")
    assert "backend.default.svc.cluster.local." in browser.text(".way")
    browser.wait_text("What the control plane knows")
    browser.picture("explain")


def test_flows_show_who_talks_to_what(cluster, frontend, browser):
    def connect(pod, to: str) -> None:
        pod.exec("curl", "-sS", "-m", "5", "-o", "/dev/null", f"http://{to}/")

    for _ in range(5):
        connect(frontend, "backend:8080")
    for pod in cluster.members("backend"):
        connect(pod, "dual")
        connect(pod, "backend-headless:8080")
    connect(frontend, "dual")
    browser.go("#/flows")
    browser.wait(lambda: any(says.startswith("default/frontend") for says in browser.texts(".graph text")), "frontend",
                 timeout=_REPORTED)
    browser.wait(lambda: "default/backend" in browser.texts(".graph text"), "backend")
    browser.picture("flows")
    _button(browser, "table")
    browser.wait(lambda: any(row[0].startswith("default/frontend") and row[1] == "default/backend"
                             for row in browser.rows("Flows")), "the same as a table")


def test_amplifiers_show_what_the_search_list_costs(frontend, browser):
    for _ in range(5):
        frontend.exec("getent", "ahosts", "example.org")
    browser.go("#/amplifiers")
    browser.wait(lambda: _node(frontend) in browser.text(), "the frontend", timeout=_REPORTED)
    browser.click("button.fold:not(:disabled)")
    browser.wait_text("example.org", "tr.inner", timeout=_REPORTED)
    browser.picture("amplifiers")

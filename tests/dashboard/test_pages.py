"""What an operator does with the pages of a small cluster."""

import time

import pytest
from selenium.webdriver.common.keys import Keys

from lab.tools import sanitized

from .worlds import POD, pod, service, slice_of

_WITHIN = 1 if not sanitized() else 10

_PAGES = {
    "names": ("#/names", "shop/backend"),
    "name": ("#/names/shop/backend", "10.42.0.2"),
    "sidecars": ("#/sidecars", POD),
    "sidecar": (f"#/sidecars/{POD}", "Service"),
    "explain": (f"#/explain?pod={POD}&name=backend", "backend.shop.svc.cluster.local."),
    "flows": ("#/flows", "Flows"),
    "amplifiers": ("#/amplifiers", "Amplifiers"),
    "denials": ("#/denials", "Denials"),
}


@pytest.mark.parametrize("page", _PAGES)
def test_a_page_opens_by_its_address_and_axe_finds_nothing_serious(browser, page):
    route, words = _PAGES[page]
    browser.open(route)
    browser.wait_text(words)
    assert browser.texts("main [role=alert]") == []
    assert browser.axe() == []
    browser.prefer("dark")
    assert browser.axe() == [], "in dark colours"


def test_the_graph_of_flows_is_drawn_and_axe_finds_nothing_serious(browser):
    ends = {"workload/shop/frontend": "workload", "service/shop/backend": "service", "external/192.0.2.7": "external"}
    edges = [("workload/shop/frontend", "service/shop/backend", 0), ("workload/shop/frontend", "external/192.0.2.7", 3),
             ("workload/shop/frontend", "workload/shop/frontend", 0)]
    browser.answer("flows", {
        "nodes": [{"id": end, "kind": kind, "name": end.split("/")[-1],
                   **({} if kind == "external" else {"namespace": "shop"})} for end, kind in ends.items()],
        "edges": [{"from": source, "to": to, "connections": 10, "failures": failures, "bytesUp": 100, "bytesDown": 2000,
                   "udpFlows": 0, "lastSeen": "2026-11-23T03:45:48.123Z"} for source, to, failures in edges],
        "replicas": []})
    browser.go("#/flows")
    browser.wait_text("3 pairs", ".title")
    assert len(browser.texts(".graph path")) == 3, "one of them from a workload to itself"
    assert "shop/backend" in browser.texts(".graph a text")
    assert browser.axe() == []
    browser.prefer("dark")
    assert browser.axe() == [], "in dark colours"


def test_a_denial_says_who_what_by_whom_and_which_rule_is_nearest(browser):
    nearest = "rule 1 of NetworkPolicy/shop/frontend allows 10.42.3.4 at TCP 5433, not 5432"
    browser.answer("denials", {"denials": [
        {"node": POD, "workload": "frontend", "what": "connection", "mode": "enforced", "name": "shop/db",
         "address": "10.42.3.4", "port": 5432, "policies": "NetworkPolicy/shop/frontend", "nearest": nearest, "count": 7,
         "last": "2026-11-23T03:45:48.123Z"},
        {"node": POD, "workload": None, "what": "name", "mode": "audit", "name": "example.com", "address": "", "port": 0,
         "policies": "DNSEgressPolicy/shop/apis", "nearest": "", "count": 1, "last": "2026-11-23T03:45:47.123Z"}],
        "replicas": []})
    browser.go("#/denials")
    browser.wait_text("2 kinds", ".title")
    browser.wait(lambda: len(browser.rows("Denials")) == 2, "both of them")
    connection, name = browser.rows("Denials")
    assert connection[:8] == [POD, "TCP", "shop/db", "10.42.3.4:5432", "NetworkPolicy/shop/frontend", nearest, "enforced",
                              "7"]
    assert name[:8] == [POD, "name", "example.com", "", "DNSEgressPolicy/shop/apis", "–", "audit", "1"]
    assert browser.axe() == []
    browser.prefer("dark")
    assert browser.axe() == [], "in dark colours"


def test_nothing_comes_from_anywhere_else(browser):
    browser.open()
    browser.wait_text("shop/backend")
    foreign = browser.run("""return performance.getEntriesByType("resource").map((e) => e.name)
        .filter((name) => !name.startsWith(location.origin + "/"))""")
    assert foreign == []


@pytest.mark.parametrize("words, found", [
    ("check", ["shop/checkout"]),
    ("data/red", ["data/redis"]),
    ("10.96.0.11", ["shop/cart"]),
    ("10.42.2.3", ["shop/checkout"]),  # an endpoint's: the Service that lists it
    ("app=search", ["shop/search"]),
    ("shop back", ["shop/backend"]),
    ("no-such-name", []),
])
def test_search_as_one_types(browser, words, found):
    browser.wait_text("shop/backend")
    browser.search(words)
    browser.wait(lambda: [row[0] for row in browser.rows()] == found, f"{found} alone")
    assert browser.focused() == "search"
    assert f"{len(found)} match" in browser.text(".title")


def test_by_keyboard_alone_from_the_search_to_a_name_and_back(browser):
    browser.wait_text("shop/backend")
    browser.press(Keys.TAB)
    assert browser.focused() == "Skip to the page"
    browser.search("shop")
    browser.wait(lambda: len(browser.rows()) == 5, "the five of shop")
    browser.press(Keys.ARROW_DOWN)
    assert browser.focused() == "Names"
    browser.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    chosen = browser.run("""const grid = document.activeElement;
        return document.getElementById(grid.getAttribute("aria-activedescendant")).innerText""")
    assert "shop/cart" in chosen
    browser.press(Keys.ENTER)
    browser.wait_text("cart.shop.svc.cluster.local")
    browser.driver.back()
    browser.wait(lambda: len(browser.rows()) == 5, "the search as it was")


def test_enter_opens_the_row_that_was_chosen_wherever_it_is_now(browser, small):
    def change_and_wait(name: str, *first: str) -> None:
        number = ("backend", "cart", "checkout", "frontend", "search").index(name)
        small.apply(slice_of("shop", name, [f"10.42.{number}.{last}" for last in (2, 3, 4)], [f"10.42.{number}.77"]))
        browser.wait(lambda: [row[0] for row in browser.rows()][:len(first)] == [*first], f"{first} are first")

    browser.open("#/names?sort=changed")
    browser.wait_text("live", ".live")
    change_and_wait("cart", "shop/cart")
    change_and_wait("frontend", "shop/frontend", "shop/cart")
    browser.run("document.querySelector('[role=grid]').focus()")
    browser.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert browser.text(".row.selected").startswith("shop/cart")
    change_and_wait("search", "shop/search", "shop/frontend", "shop/cart")
    browser.press(Keys.ENTER)
    browser.wait_text("cart.shop.svc.cluster.local")


def test_a_namespace_is_typed_while_the_page_changes(browser, small):
    browser.wait_text("shop/backend")
    browser.wait_text("live", ".live")
    browser.click(".filters input")
    browser.press("sh")
    small.apply(slice_of("shop", "backend", ["10.42.0.2", "10.42.0.3"]))
    browser.wait(lambda: any(row[4].startswith("2 ") for row in browser.rows()), "the page was drawn anew")
    browser.press("op", Keys.ENTER)
    browser.wait(lambda: len(browser.rows()) == 5, "the five of shop")
    assert "namespace=shop" in browser.run("return location.hash")


def test_lists_are_ordered_by_their_headings(browser, small):
    browser.wait_text("shop/backend")
    assert browser.run("return document.querySelector('[role=columnheader]').ariaSort") == "ascending"
    small.apply(slice_of("shop", "search", ["10.42.4.2", "10.42.4.7"]))
    browser.run("[...document.querySelectorAll('button.sort')].find((b) => b.innerText.startsWith('Changed')).click()")
    browser.wait(lambda: browser.rows() and browser.rows()[0][0] == "shop/search", "what changed last is first")
    assert browser.run("return document.querySelectorAll('[aria-sort=descending]').length") == 1


def test_a_change_is_on_the_page_within_a_second(browser, small):
    browser.open("#/names/shop/cart")
    browser.wait_text("10.42.1.4")
    browser.wait_text("live", ".live")
    began = time.monotonic()
    small.apply(slice_of("shop", "cart", ["10.42.1.2", "10.42.1.9"], ["10.42.1.3"]))
    browser.wait_text("10.42.1.9")
    took = time.monotonic() - began
    assert "10.42.1.4" not in browser.text(".table[aria-label=Endpoints]")
    assert "2 ready, 2 serving" in browser.text(".facts")
    assert took < _WITHIN, took


def test_a_list_asks_again_only_for_what_is_seen(browser, small):
    browser.wait_text("shop/frontend")
    browser.wait_text("live", ".live")
    browser.requests()
    small.apply(slice_of("shop", "frontend", ["10.42.3.2"]))
    browser.wait(lambda: any(row[0] == "shop/frontend" and row[4].startswith("1 ") for row in browser.rows()), "one ready")
    time.sleep(0.5)
    asked = [request for request in browser.requests() if request.startswith("names")]
    assert 1 <= len(asked) <= 2, asked


def test_a_list_that_cannot_be_read_is_not_asked_for_again_and_again(browser):
    browser.wait_text("shop/backend")
    browser.answer("names", {"error": "too busy"}, 503)
    browser.search("cart")
    browser.wait_text("too busy", "[role=alert]")
    time.sleep(1)
    # Once or twice for each letter.
    assert browser.run("return window.asked") <= 8


def test_warnings_are_words(browser):
    browser.open("#/names?warning=no-endpoints")
    browser.wait(lambda: [row[0] for row in browser.rows()] == ["data/orphan"], "the one without endpoints")
    browser.open("#/names/data/orphan")
    browser.wait_text("no-endpoints")
    assert "no endpoints" in browser.text(".warnings")


def test_the_records_of_a_headless_name_are_a_sidecar_s(browser):
    browser.open("#/names/data/redis")
    browser.wait_text("redis.data.svc.cluster.local.")
    records = browser.rows("Records")
    assert ["A", "10.42.9.2"] in [row[3:] for row in records]
    assert not any("10.42.9.4" in row[4] and row[3] == "A" for row in records), "it is not ready"
    assert any(row[3] == "SRV" for row in records)


def test_what_a_name_led_to_before_a_change(browser, small):
    small.apply(slice_of("shop", "checkout", ["10.42.2.2", "10.42.2.3", "10.42.2.4"]))
    browser.open("#/names/shop/checkout")
    browser.wait_text("10.42.2.4")
    small.apply(slice_of("shop", "checkout", ["10.42.2.2"]))
    browser.wait(lambda: len(browser.rows("Endpoints")) == 1, "one endpoint")
    browser.wait_text("scaled-down", ".timeline")
    # To the moment before the newest change.
    browser.run("[...document.querySelectorAll('.steps button')].find((b) => b.innerText.includes('before')).click()")
    browser.run("[...document.querySelectorAll('.steps button')].find((b) => b.innerText.includes('before')).click()")
    browser.wait(lambda: len(browser.rows("Endpoints")) == 3, "the three that there were")
    assert "at=" in browser.run("return location.hash")
    assert "As it was at" in browser.text(".clock")
    # Nothing moves while one looks back.
    small.apply(slice_of("shop", "checkout", ["10.42.2.8"]))
    time.sleep(0.7)
    assert len(browser.rows("Endpoints")) == 3
    browser.click(".clock-row button")
    browser.wait(lambda: [row[0] for row in browser.rows("Endpoints")] == ["10.42.2.8"], "now again")


def test_the_right_end_of_the_clock_s_slider_is_now(browser):
    slide = """const slider = document.querySelector(".slider");
        slider.value = arguments[0] ? slider.max : slider.min;
        slider.dispatchEvent(new Event("input", {bubbles: true}));"""
    at = lambda: "at=" in browser.run("return location.hash")  # noqa: E731
    browser.open("#/names/shop/backend")
    browser.wait(lambda: browser.run("return document.querySelector('.slider')?.disabled === false"), "a history")
    browser.run(slide, False)
    browser.wait(at, "the beginning is shown")
    browser.run(slide, True)
    browser.wait(lambda: not at(), "it is live again")


def test_a_moment_that_is_none_is_now(browser):
    browser.open("#/names/shop/backend?at=never")
    browser.wait_text("backend.shop.svc.cluster.local.")


def test_what_is_deleted_is_not_shown_any_more(browser, small):
    small.apply(service("shop", "passing", "10.96.0.77"))
    small.apply(slice_of("shop", "passing", ["10.42.77.2"]))
    browser.open("#/names/shop/passing")
    browser.wait_text("10.42.77.2", ".table[aria-label=Endpoints]")
    small.delete("EndpointSlice", "shop", "passing-x7k2p")
    small.delete("Service", "shop", "passing")
    browser.wait_text("no Service passing", "[role=alert]")
    assert browser.texts(".table[aria-label=Endpoints]") == []


def test_a_token_is_asked_for_in_front_of_everything_and_may_be_left(browser):
    browser.wait_text("shop/backend")
    browser.run("""const real = window.fetch;
        window.fetch = (url, init) => init.headers.Authorization === "Bearer good" ? real(url, init)
          : Promise.resolve(new Response('{"error": "no token"}', {status: 401}));""")
    is_modal = lambda: browser.run("return document.querySelector('dialog').matches(':modal')")  # noqa: E731
    browser.go("#/names?search=cart")
    browser.wait(is_modal, "the form")
    assert browser.focused() == "token"
    browser.press(Keys.ESCAPE)
    browser.wait(lambda: not is_modal(), "it is left")
    browser.click("[role=alert] button")  # Try again
    browser.wait_text("no token", "[role=alert]")
    assert not is_modal(), "it does not come back by itself"
    browser.go("#/names?search=check")
    browser.wait(is_modal, "the form on another page")
    browser.press("good", Keys.ENTER)
    browser.wait(lambda: [row[0] for row in browser.rows()] == ["shop/checkout"], "the name")
    assert not is_modal()


def test_explain_tells_the_way_out(browser):
    browser.open("#/explain")
    browser.wait_text("Explain")
    browser.click("input[name=pod]")
    browser.press(POD)
    browser.click("input[name=name]")
    browser.press("backend", Keys.ENTER)
    browser.wait_text("backend.shop.svc.cluster.local.", ".way")
    assert "10.96.0.10" in browser.text(".way")
    assert "name=backend" in browser.run("return location.hash")
    assert browser.run("return document.activeElement.name") == "name", "where the next one is typed"


def test_explain_says_who_lets_the_client_in(browser, small):
    doors = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
             "metadata": {"namespace": "shop", "name": "doors"},
             "spec": {"podSelector": {"matchLabels": {"app": "backend"}}, "policyTypes": ["Ingress"]}}
    objects = [pod("shop", POD.split("/")[1], "10.42.200.1"), doors,
               pod("shop", "backend-0", "10.42.0.2", {"app": "backend"})]
    for obj in objects:
        small.apply(obj)
    try:
        def denied() -> list:
            return [one["says"] for one in small.control.get(f"explain?pod={POD}&name=backend")["ingress"]]

        browser.wait(lambda: denied() == ["no rule of NetworkPolicy/shop/doors/ingress allows it"], "it is known")
        browser.open(f"#/explain?pod={POD}&name=backend")
        browser.wait_text("Whether those it is led to let it in")
        row = browser.run("return [...document.querySelectorAll('tr')].map((r) => r.innerText)"
                          ".find((text) => text.includes('doors'))")
        assert [cell.strip() for cell in row.split("\t")] == [
            "10.42.0.2:8080 TCP", "shop/backend-0", "denied", "not known here",
            "no rule of NetworkPolicy/shop/doors/ingress allows it"]
        assert browser.axe() == []
    finally:
        for obj in objects:
            small.delete(obj["kind"], "shop", obj["metadata"]["name"])


def test_a_sidecar_shows_its_configuration_and_takes_a_log_level(browser):
    browser.open(f"#/sidecars/{POD}")
    browser.wait_text("SYNCED")
    browser.run("[...document.querySelectorAll('button')].find((b) => b.innerText.startsWith('Show its')).click()")
    browser.wait_text("corefile", ".dump")
    browser.run("document.querySelector('select[name=level]').value = 'debug'")
    browser.run("[...document.querySelectorAll('button')].find((b) => b.innerText === 'Set').click()")
    browser.wait_text("log level is now debug")


def test_colours_follow_the_system_until_the_switch_says_otherwise(browser):
    paper = lambda: browser.run("return getComputedStyle(document.body).backgroundColor")  # noqa: E731
    light = paper()
    browser.prefer("dark")
    assert paper() != light
    browser.click("button.theme")
    assert paper() == light
    browser.open()
    browser.wait_text("shop/backend")
    assert paper() == light, "kept over a reload"


def test_nothing_moves_for_who_wants_no_motion(browser):
    dot = "return getComputedStyle(document.querySelector('.live .dot')).animationName"
    browser.wait_text("live", ".live")
    assert browser.run(dot) != "none"
    browser.prefer(motion="reduce")
    assert browser.run(dot) == "none"


def test_an_unknown_name_is_said_to_be_unknown(browser):
    browser.open("#/names/shop/nobody")
    browser.wait_text("no Service nobody", "[role=alert]")


def test_a_control_plane_that_goes_and_comes_is_said_and_read_anew(browser, small):
    browser.open("#/names/shop/backend")
    browser.wait_text("10.42.0.2")
    browser.wait_text("live", ".live")
    small.control.daemon.stop()
    browser.wait_text("no updates", ".live")
    assert "10.42.0.2" in browser.text(), "what was known is still there"
    small.apply(slice_of("shop", "backend", ["10.42.0.2", "10.42.0.77"]))
    small.control.start()
    browser.wait_text("10.42.0.77", timeout=15)
    browser.wait_text("live", ".live")

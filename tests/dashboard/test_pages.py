"""What an operator does with the pages of a small cluster."""

import time

import pytest
from selenium.webdriver.common.keys import Keys

from lab.tools import sanitized

from .worlds import POD, slice_of

_WITHIN = 1 if not sanitized() else 10

_PAGES = {
    "names": ("#/names", "shop/backend"),
    "name": ("#/names/shop/backend", "10.42.0.2"),
    "sidecars": ("#/sidecars", POD),
    "sidecar": (f"#/sidecars/{POD}", "Service"),
    "explain": (f"#/explain?pod={POD}&name=backend", "backend.shop.svc.cluster.local."),
    "flows": ("#/flows", "Flows"),
    "amplifiers": ("#/amplifiers", "Amplifiers"),
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
    browser.run("""const real = fetch;
        window.asked = 0;
        window.fetch = (url, init) => {
          if (!new URL(url).pathname.endsWith("/names")) return real(url, init);
          window.asked++;
          return Promise.resolve(new Response('{"error": "too busy"}', {status: 503}));
        };""")
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

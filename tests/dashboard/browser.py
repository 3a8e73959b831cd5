"""A headless Chromium, driven by Selenium, and what tests of the dashboard do with it.

What the page logs as an error (an exception, a refusal by its content policy) fails the test that sees it.
"""

import os
import tempfile
from pathlib import Path
from typing import Callable, Optional

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from lab.tools import TREE, LabError, wait_until

_BUILD = Path(os.environ.get("PORTOLAN_BIN", TREE / "build" / "bin")).resolve().parent
# npm's packages are where the build of the dashboard put them.
NODE_MODULES = _BUILD / "xds" / "dashboard" / "web" / "work" / "node_modules"
# Where pictures for the documentation go; none are taken without.
_SCREENSHOTS = os.environ.get("PORTOLAN_SCREENSHOTS", "")

_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
          "--disable-background-networking", "--disable-component-update", "--disable-sync",
          "--disable-dev-shm-usage"]
_WIDTH, _HEIGHT = 1280, 720
# What a browser says of an answer that is an error: the page shows it in words of its own.
_EXPECTED = "Failed to load resource"
# When the first row of a table was on the screen: the frame after it was put there, so at the latest.
_FIRST_ROW = """(() => {
  const look = () => {
    if (document.querySelector(".table .body .row .cell a"))
      requestAnimationFrame(() => { window.firstRow = performance.now(); });
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})();"""
_AXE = """const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then(
  (r) => done(r.violations.map((v) => [v.impact, v.id, v.nodes.map((n) => n.target.join(" ")).join(", ")])),
  (e) => done([["critical", String(e), ""]]));"""


class Browser:
    def __init__(self, base: str):
        """base: "http://127.0.0.1:15080"."""
        self.base = base
        options = Options()
        options.binary_location = "/usr/bin/chromium"
        self._profile = tempfile.TemporaryDirectory(prefix="portolan-chromium-", ignore_cleanup_errors=True)
        for flag in [*_FLAGS, f"--user-data-dir={self._profile.name}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        self.driver.set_script_timeout(60)
        self._command("Emulation.setDeviceMetricsOverride",
                      {"width": _WIDTH, "height": _HEIGHT, "deviceScaleFactor": 1, "mobile": False})
        self._command("Page.addScriptToEvaluateOnNewDocument", {"source": _FIRST_ROW})
        self.prefer()

    def quit(self) -> None:
        self.driver.quit()
        wait_until(self._profile_is_gone, "Chromium's profile is gone", 10)

    def _profile_is_gone(self) -> bool:
        """Chromium goes on writing into it for a moment."""
        self._profile.cleanup()
        return not Path(self._profile.name).exists()

    def _command(self, name: str, parameters: Optional[dict] = None) -> dict:
        return self.driver.execute_cdp_cmd(name, parameters or {})

    def prefer(self, scheme: str = "light", motion: str = "no-preference") -> None:
        """What the system says of colours and of motion."""
        self._command("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": motion}]})

    # --- Going and looking ---

    def open(self, route: str = "") -> None:
        """A fresh page: what was there before is gone."""
        self.driver.get("about:blank")
        self.driver.get(f"{self.base}/{route}")

    def go(self, route: str) -> None:
        """Within the page, as by one of its links."""
        self.run("location.hash = arguments[0]", route)

    def run(self, script: str, *arguments):
        return self.driver.execute_script(script, *arguments)

    def run_async(self, script: str, *arguments):
        """The script calls done(result)."""
        return self.driver.execute_async_script("const done = arguments[arguments.length - 1];" + script, *arguments)

    def text(self, css: str = "main") -> str:
        """Of the first that matches; empty where there is none."""
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", css)

    def texts(self, css: str) -> list[str]:
        return self.run("return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)", css)

    def rows(self, table: str = "Names") -> list[list[str]]:
        """The cells of the rows that are seen."""
        return self.run("""return [...document.querySelectorAll(
            `.table[aria-label="${arguments[0]}"] .body .row:not(.none)`)].map(
            (row) => [...row.querySelectorAll(".cell")].map((cell) => cell.innerText))""", table)

    def wait(self, condition: Callable[[], bool], what: str, timeout: float = 10) -> None:
        try:
            wait_until(condition, what, timeout)
        except LabError as error:
            raise LabError(f"{error}\nThe page says:\n{self.text('body')}\n{self.errors()}") from None

    def wait_text(self, words: str, css: str = "main", timeout: float = 10) -> None:
        self.wait(lambda: words in self.text(css), f"'{words}' in {css}", timeout)

    # --- Hands ---

    def click(self, css: str) -> None:
        self.driver.find_element(By.CSS_SELECTOR, css).click()

    def press(self, *keys: str) -> None:
        """Where the focus is."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def search(self, words: str) -> None:
        self.driver.find_element(By.TAG_NAME, "body").send_keys("/")
        self.press(Keys.CONTROL, "a")
        self.press(Keys.BACKSPACE, words)

    def focused(self) -> str:
        return self.run("const e = document.activeElement; return e.id || e.getAttribute('aria-label') || e.innerText")

    # --- The server ---

    def answer(self, path: str, body: dict, status: int = 200) -> None:
        """What the page asks of this path of the API gets this answer from now on; window.asked counts."""
        self.run("""const [path, body, status] = arguments;
            const real = window.fetch;
            window.asked = 0;
            window.fetch = (url, init) => {
              if (new URL(url).pathname !== `/api/v1/${path}`) return real(url, init);
              window.asked++;
              return Promise.resolve(new Response(JSON.stringify(body), {status}));
            };""", path, body, status)

    # --- Judging ---

    def errors(self) -> list[str]:
        """What the page logged since this was asked last."""
        return [entry["message"] for entry in self.driver.get_log("browser")
                if entry["level"] == "SEVERE" and _EXPECTED not in entry["message"]]

    def axe(self) -> list[str]:
        """The findings of axe-core that it calls serious or critical."""
        self.run((NODE_MODULES / "axe-core" / "axe.min.js").read_text())
        found = self.driver.execute_async_script(_AXE)
        return [f"{impact}: {rule}: {where}" for impact, rule, where in found if impact in ("serious", "critical")]

    def first_row_ms(self) -> float:
        """From the navigation to the frame after the first row of data was there."""
        self.wait(lambda: self.run("return window.firstRow !== undefined"), "a row")
        return self.run("return window.firstRow")

    def heap_bytes(self) -> int:
        """Of JavaScript, after its garbage is collected."""
        self._command("HeapProfiler.enable")
        self._command("HeapProfiler.collectGarbage")
        return self._command("Runtime.getHeapUsage")["usedSize"]

    def picture(self, name: str) -> None:
        if not _SCREENSHOTS:
            return
        self.run("document.activeElement.blur()")
        file = Path(_SCREENSHOTS) / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(file))

    def requests(self) -> list[str]:
        """The paths and queries that the page asked of the API since this was asked last."""
        return self.run("""const list = performance.getEntriesByType("resource").map((e) => new URL(e.name))
            .filter((u) => u.pathname.startsWith("/api/")).map((u) => u.pathname.slice(8) + u.search);
            performance.clearResourceTimings(); return list""")

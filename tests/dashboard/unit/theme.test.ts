import assert from "node:assert/strict";
import { test } from "node:test";
import { setTheme, startTheme, theme } from "../../../xds/dashboard/web/src/lib/theme";

test("where the browser keeps nothing the switch works all the same", () => {
  const root = { dataset: {} as Record<string, string> };
  Object.assign(globalThis, { document: { documentElement: root } });
  Object.defineProperty(globalThis, "localStorage", {
    get() {
      throw new Error("SecurityError");
    },
  });
  startTheme();
  assert.equal(theme.get(), "system");
  setTheme("dark");
  assert.equal(root.dataset["theme"], "dark");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { link, parseRoute } from "../../../xds/dashboard/web/src/lib/route";

test("a link leads back to what it was made of", () => {
  const path = ["names", "default", "a/b c"];
  const query = { at: "2026-11-23T03:45:48.123Z", search: "app=web&x" };
  assert.deepEqual(parseRoute(link(path, query)), { path, query });
});

test("what is empty is left out", () => {
  assert.equal(link(["names"], { search: "", label: undefined }), "#/names");
});

test("nothing leads to the names, and nonsense is a route too", () => {
  assert.deepEqual(parseRoute(""), { path: ["names"], query: {} });
  assert.deepEqual(parseRoute("#/names/%zz"), { path: ["names", "%zz"], query: {} });
});

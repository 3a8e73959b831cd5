import assert from "node:assert/strict";
import { test } from "node:test";
import { placeOf } from "../../../xds/dashboard/web/src/components/table";

const of = (...keys: (string | undefined)[]) => (index: number) => keys[index];

test("the chosen row is followed to where it is now", () => {
  assert.equal(placeOf({ index: 1, key: "b" }, of("a", "b", "c"), 0, 2), 1);
  assert.equal(placeOf({ index: 1, key: "b" }, of("c", "a", "b"), 0, 2), 2);
});

test("what is not among the rows that are seen is not chosen any more", () => {
  assert.equal(placeOf({ index: 1, key: "b" }, of("a", "c"), 0, 1), -1);
  assert.equal(placeOf({ index: 1, key: "b" }, of("c", "a", "b"), 0, 1), -1);
  assert.equal(placeOf({ index: -1 }, of("a"), 0, 0), -1);
});

test("a row that is not here yet is where it was chosen", () => {
  assert.equal(placeOf({ index: 2 }, of("a", "b", undefined), 0, 2), 2);
});

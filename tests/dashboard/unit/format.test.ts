import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, count, lagStep, lagStepName, milliseconds, percent, plural, rate } from "../../../xds/dashboard/web/src/lib/format";

test("what is not known is a dash, what is none is 0", () => {
  for (const say of [count, rate, percent, milliseconds, bytes]) {
    assert.equal(say(null), "–");
    assert.match(say(0), /^0/);
  }
});

test("numbers are grouped and counted in words", () => {
  assert.equal(count(1234567), "1,234,567");
  assert.equal(plural(1, "match"), "1 match");
  assert.equal(plural(2, "address"), "2 addresses");
  assert.equal(plural(2000, "name"), "2,000 names");
});

test("units follow the size", () => {
  assert.equal(milliseconds(0.4), "<1 ms");
  assert.equal(milliseconds(1500), "1.5 s");
  assert.equal(bytes(999), "999 B");
  assert.equal(bytes(1500), "1.5 KB");
  assert.equal(bytes(8_888_888_888), "8.9 GB");
  assert.equal(rate(0.26), "0.3");
  assert.equal(rate(1234.5), "1,235");
  assert.equal(percent(0.805), "81 %");
});

test("the heat map's steps have their bounds in them", () => {
  assert.equal(lagStep(10), 0);
  assert.equal(lagStep(10.1), 1);
  assert.equal(lagStep(5000), 5);
  assert.equal(lagStepName(5), "above 1.0 s");
});

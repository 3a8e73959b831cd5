import assert from "node:assert/strict";
import { test } from "node:test";
import { age, ageOf, localTime, serverNow, setServerTime, toInput, toIso, utcTime } from "../../../xds/dashboard/web/src/lib/time";

test("ages are told in the largest unit that says enough", () => {
  assert.equal(age(999), "now");
  assert.equal(age(59_999), "59 s");
  assert.equal(age(60_000), "1 min");
  assert.equal(age(3_600_000), "1 h");
  assert.equal(age(3_660_000), "1 h 1 min");
  assert.equal(age(86_400_000 * 3), "3 d");
});

test("a clock that is ahead of the server's makes nothing older", () => {
  const server = new Date(Date.now() - 3_600_000).toISOString();
  setServerTime(server);
  assert.equal(ageOf(server), "now");
  assert.ok(Math.abs(serverNow() - Date.parse(server)) < 1000);
  setServerTime(new Date().toISOString());
});

test("what has no time has no age", () => {
  assert.equal(ageOf(null), "–");
});

test("the clock's input keeps the moment to the second", () => {
  const iso = "2026-11-23T03:45:48.000Z";
  assert.equal(toIso(toInput(iso)), iso);
  assert.equal(toIso("never"), null);
  assert.equal(toIso(""), null);
  assert.equal(toIso("2026-11-23T05:45:48+02:00"), iso, "as times are compared");
});

test("times are local, and UTC on hover", () => {
  const iso = "2020-02-03T04:05:06.078Z"; // the tests run with TZ=Asia/Kolkata
  assert.equal(localTime(iso, true), "2020-02-03 09:35:06.078");
  assert.equal(utcTime(iso), "2020-02-03 04:05:06.078 UTC");
});

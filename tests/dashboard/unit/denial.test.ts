import assert from "node:assert/strict";
import { test } from "node:test";
import type { Denial } from "../../../xds/dashboard/web/src/api/types";
import { addressOf, keyOf, policyText, wordOf } from "../../../xds/dashboard/web/src/lib/denial";

const DENIAL: Denial = {
  node: "default/frontend-1",
  workload: null,
  what: "connection",
  mode: "enforced",
  name: "",
  address: "192.0.2.1",
  port: 443,
  policies: "NetworkPolicy/default/web",
  nearest: "",
  count: 2,
  last: "2026-11-23T03:45:48.123Z",
};

test("an address is one that can be dialled", () => {
  assert.equal(addressOf(DENIAL), "192.0.2.1:443");
  assert.equal(addressOf({ address: "fd00::1", port: 80 }), "[fd00::1]:80");
  assert.equal(addressOf({ address: "", port: 0 }), "");
});

test("a row is another one where anything but its count and time is", () => {
  const same: Denial = { ...DENIAL, count: 9, last: null };
  assert.equal(keyOf(same), keyOf(DENIAL));
  for (const other of [{ port: 444 }, { mode: "audit" }, { what: "flow" }, { name: "a" }, { node: "a/b" }] as const) {
    assert.notEqual(keyOf({ ...DENIAL, ...other }), keyOf(DENIAL));
  }
});

test("what a newer sidecar denies is shown by its own word", () => {
  assert.equal(wordOf("connection"), "TCP");
  assert.equal(wordOf("smoke" as Denial["what"]), "smoke");
});

test("a pod that is captured in part says so beside its policies", () => {
  const policy = { known: true, partlyEnforced: true, denied: 0, audited: 0, policies: ["a", "b"], otherPolicies: 3 };
  assert.equal(policyText(policy), "a, b and 3 more: partly enforced");
  assert.equal(policyText({ ...policy, policies: [] }), "none selects it");
  assert.equal(policyText({ ...policy, known: false }), "none known yet");
});

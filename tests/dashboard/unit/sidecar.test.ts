import assert from "node:assert/strict";
import { test } from "node:test";
import type { Sidecar } from "../../../xds/dashboard/web/src/api/types";
import { newestOf, upstreamsDown } from "../../../xds/dashboard/web/src/lib/sidecar";

test("a DNS server that failed once and answers again is up", () => {
  const upstreams = [
    { address: "10.0.0.1:53", down: false, answers: 7, failures: 3, failedProbes: 9 },
    { address: "10.0.0.2:53", down: true, answers: 7, failures: 3, failedProbes: 9 },
  ];
  assert.equal(upstreamsDown({ report: { dns: { upstreams } } } as Sidecar), 1);
});

test("of two streams of a sidecar the newer counts", () => {
  const streams = ["2026-11-23T03:45:48.123Z", "2026-11-23T03:46:00.000Z", null].map((connected) => ({ connected }) as Sidecar);
  assert.equal(newestOf(streams)?.connected, "2026-11-23T03:46:00.000Z");
  assert.equal(newestOf([]), undefined);
});

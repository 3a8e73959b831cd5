import assert from "node:assert/strict";
import { test } from "node:test";
import type { FlowEdge, FlowNode } from "../../../xds/dashboard/web/src/api/types";
import { readExplained, words } from "../../../xds/dashboard/web/src/lib/explained";
import { layOut } from "../../../xds/dashboard/web/src/lib/layout";

const node = (id: string): FlowNode => ({ id, kind: "workload", name: id });
const edge = (from: string, to: string): FlowEdge => ({
  from,
  to,
  connections: 1,
  failures: 0,
  bytesUp: 0,
  bytesDown: 0,
  udpFlows: 0,
  lastSeen: null,
});

test("callers are left and what they call is right, each once", () => {
  const { left, right } = layOut(["a", "b", "c"].map(node), [edge("a", "c"), edge("b", "c"), edge("a", "b")]);
  assert.deepEqual(left.map((it) => it.node.id).sort(), ["a", "b"]);
  assert.deepEqual(right.map((it) => it.node.id).sort(), ["b", "c"]);
});

test("lines that need not cross do not", () => {
  const nodes = ["a", "b", "c", "x", "y", "z"].map(node);
  const { left, right } = layOut(nodes, [edge("a", "z"), edge("b", "y"), edge("c", "x")]);
  const place = (list: typeof left, id: string) => list.find((it) => it.node.id === id)!.place;
  assert.deepEqual(
    [["a", "z"], ["b", "y"], ["c", "x"]].map(([from, to]) => place(left, from!) - place(right, to!)),
    [0, 0, 0],
  );
});

test("what a workload says to itself is drawn from its left place to its right one", () => {
  const { left, right, at, edges } = layOut([node("a")], [edge("a", "a")]);
  assert.equal(edges.length, 1);
  assert.deepEqual([left.length, right.length], [1, 1]);
  assert.ok(at.get("left a") && at.get("right a"));
});

test("an end that is not in the answer draws nothing", () => {
  const { edges, left } = layOut([node("a")], [edge("a", "gone")]);
  assert.equal(edges.length, 0);
  assert.equal(left.length, 0);
});

test("a sidecar of another version is read as far as it goes", () => {
  const read = readExplained({ lookups: "none", feed: { inSync: true }, name: "x", type: "A", ndots: "5" });
  assert.deepEqual(read.lookups, []);
  assert.equal(read.ndots, undefined);
  assert.deepEqual(read.rest, { feed: { inSync: true } });
  assert.deepEqual(readExplained(null).connections, []);
  assert.equal(readExplained({ error: "not connected" }).error, "not connected");
});

test("keys are read as words", () => {
  assert.equal(words("cacheHits"), "cache hits");
  assert.equal(words("controlPlane"), "control plane");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { Merged } from "../../../xds/dashboard/web/src/lib/merged";
import { PagedRows } from "../../../xds/dashboard/web/src/lib/paged_rows";

// A task whose runs end when told to.
function task() {
  const ends: (() => void)[] = [];
  return { run: () => new Promise<void>((resolve) => ends.push(resolve)), ends };
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

test("what is asked for during a run is one more run, not many", async () => {
  const { run, ends } = task();
  const merged = new Merged(run, 0);
  merged.now();
  for (let n = 0; n < 10; n++) merged.ask();
  assert.equal(ends.length, 1);
  ends[0]!();
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(ends.length, 2);
  ends[1]!();
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(ends.length, 2);
});

test("runs begin no sooner than the time after each other", async () => {
  const waits: number[] = [];
  const { setTimeout: timers } = globalThis;
  const { now } = performance;
  globalThis.setTimeout = ((_run: () => void, wait: number) => waits.push(wait)) as unknown as typeof setTimeout;
  performance.now = () => 100_000;
  try {
    const merged = new Merged(async () => undefined, 1000);
    merged.now();
    await settled();
    performance.now = () => 100_300;
    merged.ask();
    assert.deepEqual(waits, [700]);
  } finally {
    globalThis.setTimeout = timers;
    performance.now = now;
  }
});

test("a stopped one runs no more", async () => {
  let runs = 0;
  const merged = new Merged(async () => void ++runs, 0);
  merged.ask();
  merged.stop();
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(runs, 0);
});

// A server with `total` rows that are their own numbers, and a list of what it was asked for.
function served(total: number) {
  const asked: [number, number][] = [];
  const state = { total, asked, round: 0, fails: false };
  const load = async (offset: number, limit: number) => {
    asked.push([offset, limit]);
    if (state.fails) throw new Error("gone");
    const rows = [];
    for (let n = offset; n < Math.min(offset + limit, state.total); n++) rows.push(`${n} of round ${state.round}`);
    return { total: state.total, rows };
  };
  return { state, load };
}

const idle = () => new Promise((resolve) => setTimeout(resolve, 30));

test("the first rows are asked for at once and the rest behind them", async () => {
  const { state, load } = served(1234);
  const rows = new PagedRows<string>(load, () => undefined, 0);
  rows.look(0, 30);
  await idle();
  assert.deepEqual(state.asked[0], [0, 100]);
  assert.equal(rows.total, 1234);
  for (let n = 0; n < 1234; n++) assert.equal(rows.at(n), `${n} of round 0`);
  assert.equal(rows.at(1234), undefined);
});

test("after a change only what is looked at is asked for again, and shown until it came", async () => {
  const { state, load } = served(1000);
  const rows = new PagedRows<string>(load, () => undefined, 0);
  rows.look(500, 530);
  await idle();
  state.asked.length = 0;
  state.round = 1;
  rows.invalidate();
  assert.equal(rows.at(510), "510 of round 0");
  await idle();
  assert.deepEqual(state.asked, [[500, 100]]);
  assert.equal(rows.at(510), "510 of round 1");
  assert.equal(rows.at(10), "10 of round 0");
  rows.look(0, 30);
  await idle();
  assert.equal(rows.at(10), "10 of round 1");
});

test("where rows have moved, all are asked for again when they are looked at", async () => {
  const { state, load } = served(300);
  const rows = new PagedRows<string>(load, () => undefined, 0);
  rows.look(0, 30);
  await idle();
  state.total = 250;
  state.round = 1;
  rows.invalidate();
  await idle();
  assert.equal(rows.total, 250);
  rows.look(220, 249);
  await idle();
  assert.equal(rows.at(249), "249 of round 1");
});

test("what is kept is bounded, and what is looked at is among it", async () => {
  const { load } = served(100_000);
  const rows = new PagedRows<string>(load, () => undefined, 0);
  rows.look(0, 30);
  await idle();
  rows.look(90_000, 90_030);
  await idle();
  assert.equal(rows.at(90_010), "90010 of round 0");
  let kept = 0;
  for (let n = 0; n < 100_000; n++) if (rows.at(n) !== undefined) kept++;
  assert.ok(kept <= 20_100, `${kept} rows are kept`);
});

test("a failure is told, and what was there stays", async () => {
  const { state, load } = served(100);
  const rows = new PagedRows<string>(load, () => undefined, 0);
  rows.look(0, 30);
  await idle();
  state.fails = true;
  rows.invalidate();
  await idle();
  assert.equal(rows.error?.message, "gone");
  assert.equal(rows.at(3), "3 of round 0");
  state.fails = false;
  rows.invalidate();
  await idle();
  assert.equal(rows.error, undefined);
});

test("a change while an answer is on its way is not lost", async () => {
  const { state, load } = served(100);
  const rows = new PagedRows<string>(
    async (offset, limit) => {
      const answer = await load(offset, limit);
      if (state.asked.length === 1) {
        state.round = 1;
        rows.invalidate();
      }
      return answer;
    },
    () => undefined,
    0,
  );
  rows.look(0, 30);
  await idle();
  assert.equal(rows.at(3), "3 of round 1");
  assert.equal(rows.at(99), "99 of round 1");
});

test("a server that fails is left alone, however often its rows are looked at", async () => {
  const { state, load } = served(100);
  state.fails = true;
  // A table that says at every draw what it looks at, as one does while it is scrolled.
  const rows: PagedRows<string> = new PagedRows<string>(load, () => setTimeout(() => rows.look(0, 30)), 100);
  await new Promise((resolve) => setTimeout(resolve, 250));
  rows.close();
  assert.ok(state.asked.length <= 4, `asked ${state.asked.length} times`);
});

test("an empty list is known to be empty", async () => {
  const { load } = served(0);
  const rows = new PagedRows<string>(load, () => undefined, 0);
  rows.look(0, 0);
  await idle();
  assert.equal(rows.known, true);
  assert.equal(rows.total, 0);
});

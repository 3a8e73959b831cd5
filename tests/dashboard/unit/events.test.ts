import assert from "node:assert/strict";
import { test } from "node:test";
import { listen, live, startEvents } from "../../../xds/dashboard/web/src/api/events";

// A browser that is looked at or not, and a server whose answers the test gives.
const page = { visibilityState: "visible", baseURI: "http://control/", addEventListener: on };
const handlers = new Map<string, () => void>();
const intervals: [() => void, number][] = [];
const timers: (() => void)[] = [];
let answer: () => Promise<Response>;

function on(event: string, handler: () => void): void {
  handlers.set(event, handler);
}

Object.assign(globalThis, {
  document: page,
  addEventListener: on,
  setInterval: (run: () => void, every: number) => intervals.push([run, every]),
  fetch: () => answer(),
});

const settled = () => new Promise((resolve) => setImmediate(resolve));
async function until(condition: () => boolean): Promise<void> {
  for (let n = 0; n < 1000 && !condition(); n++) await settled();
  assert.ok(condition());
}

// A stream that says hello; its end is `end`.
function stream() {
  let end = () => undefined as void;
  answer = async () =>
    new Response(
      new ReadableStream({
        start(to) {
          to.enqueue(new TextEncoder().encode("event: hello\ndata: {}\n\n"));
          end = () => to.close();
        },
      }),
    );
  return { end: () => end() };
}

const told = { changes: 0, sidecars: 0 };
listen({ onChange: (names) => names === null && told.changes++, onSidecars: (nodes) => nodes === null && told.sidecars++ });

test("what was missed before the first stream, between two, and while nobody looked is asked for", async () => {
  const { setTimeout: real } = globalThis;
  globalThis.setTimeout = ((run: () => void) => timers.push(run)) as unknown as typeof setTimeout;
  try {
    answer = () => Promise.reject(new Error("nobody there"));
    startEvents();
    await until(() => live.get().state === "waiting");
    let open = stream();
    timers.at(-1)!();
    await until(() => live.get().state === "live");
    assert.equal(told.changes, 1, "the first try failed");

    open.end();
    await until(() => live.get().state === "waiting");
    open = stream();
    timers.at(-1)!();
    await until(() => live.get().state === "live");
    assert.equal(told.changes, 2, "the stream broke");

    page.visibilityState = "hidden";
    handlers.get("visibilitychange")!();
    assert.equal(live.get().state, "connecting");
    page.visibilityState = "visible";
    stream();
    handlers.get("visibilitychange")!();
    await until(() => live.get().state === "live");
    assert.equal(told.changes, 3, "the tab was in the background");
  } finally {
    globalThis.setTimeout = real;
  }
});

test("what ends without an event is looked for now and then, while the page is live", () => {
  const [run, every] = intervals[0]!;
  assert.ok(every <= 10_000);
  told.sidecars = 0;
  run();
  assert.equal(told.sidecars, 1);
  live.set({ state: "waiting" });
  run();
  assert.equal(told.sidecars, 1);
});

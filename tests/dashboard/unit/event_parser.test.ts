import assert from "node:assert/strict";
import { test } from "node:test";
import { EventParser } from "../../../xds/dashboard/web/src/api/event_parser";

test("an event is given once its blank line came, wherever the bytes are cut", () => {
  const text = 'event: change\ndata: {"generation":7}\n\n';
  for (let cut = 0; cut <= text.length; cut++) {
    const parser = new EventParser();
    const events = [...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))];
    assert.deepEqual(events, [{ event: "change", data: '{"generation":7}' }]);
  }
});

test("comments keep the stream open and say nothing", () => {
  assert.deepEqual(new EventParser().push(": still here\n\n"), []);
});

test("several lines of data are one text, and line ends may be CRLF", () => {
  const events = new EventParser().push("event: a\r\ndata: 1\r\ndata:2\r\n\r\n");
  assert.deepEqual(events, [{ event: "a", data: "1\n2" }]);
});

test("an event without end is an error, not memory", () => {
  const parser = new EventParser();
  assert.throws(() => {
    for (let n = 0; n < 2000; n++) parser.push("data: " + "x".repeat(1024));
  });
});

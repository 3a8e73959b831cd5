// text/event-stream, as much of it as our server writes: fields "event" and "data", comments.
// https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

export interface StreamEvent {
  event: string;
  data: string;
}

// Longer than anything the server sends: 500 names of 127 bytes.
const MOST = 1 << 20;

export class EventParser {
  private rest = "";

  // The events that `text` completes; it may end within a line. Throws where a line has no end.
  push(text: string): StreamEvent[] {
    this.rest += text.replace(/\r/g, "");
    if (this.rest.length > MOST) throw new Error("an event without an end");
    const events: StreamEvent[] = [];
    let end = this.rest.indexOf("\n\n");
    while (end >= 0) {
      const event = parse(this.rest.slice(0, end));
      if (event) events.push(event);
      this.rest = this.rest.slice(end + 2);
      end = this.rest.indexOf("\n\n");
    }
    return events;
  }
}

function parse(block: string): StreamEvent | null {
  let event = "message";
  const data: string[] = [];
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue; // a comment
    const value = line.slice(colon + 1).replace(/^ /, "");
    if (line.startsWith("event:")) event = value;
    if (line.startsWith("data:")) data.push(value);
  }
  return data.length ? { event, data: data.join("\n") } : null;
}

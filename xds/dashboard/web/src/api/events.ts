// What changes is pushed: /api/v1/events, read as a stream, since EventSource cannot show a token.
import { onToken, request } from "./client";
import { EventParser } from "./event_parser";
import type { ChangeEvent, SidecarsEvent } from "./types";
import { store } from "../lib/store";

export interface Live {
  state: "connecting" | "live" | "waiting";
  retryAt?: number; // by Date.now(), while waiting
}

export const live = store<Live>({ state: "connecting" });

export interface Listener {
  // null: anything may have changed (many at once, or the stream was away).
  onChange?(names: Set<string> | null): void;
  onSidecars?(nodes: Set<string> | null): void;
}

const listeners = new Set<Listener>();

export function listen(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
// The server says something every 15 s.
const SILENCE_MS = 40_000;
// Nobody tells of what ends without a word: a sidecar that goes, a rate that is nought after a while.
const UNTOLD_MS = 10_000;

export function startEvents(): void {
  const stream = new Stream();
  // Browsers open six connections to a server, over all tabs, and keep those of a page that one may go
  // back to: only a page that is looked at keeps a stream.
  const look = () => (document.visibilityState === "visible" ? stream.open() : stream.close());
  document.addEventListener("visibilitychange", look);
  addEventListener("pageshow", look);
  addEventListener("pagehide", () => stream.close());
  addEventListener("online", look);
  onToken(() => stream.open());
  setInterval(() => {
    if (live.get().state === "live") for (const listener of [...listeners]) listener.onSidecars?.(null);
  }, UNTOLD_MS);
  look();
}

class Stream {
  private wait = FIRST_WAIT_MS;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private reading: AbortController | undefined;
  private missed = false; // there was none for a while: what happened meanwhile is unknown

  // Now, if there is none.
  open(): void {
    if (this.reading) return;
    clearTimeout(this.timer);
    void this.read();
  }

  close(): void {
    clearTimeout(this.timer);
    this.reading?.abort();
    this.reading = undefined;
    this.missed = true;
    live.set({ state: "connecting" });
  }

  private async read(): Promise<void> {
    const reading = new AbortController();
    this.reading = reading;
    live.set({ state: "connecting" });
    try {
      await readEvents(reading, () => this.onHello());
    } catch {
      // The next try says whether it is there again.
    }
    reading.abort();
    if (this.reading !== reading) return; // closed
    this.reading = undefined;
    this.missed = true;
    const delay = this.wait * (0.5 + Math.random() / 2);
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
    live.set({ state: "waiting", retryAt: Date.now() + delay });
    this.timer = setTimeout(() => this.open(), delay);
  }

  private onHello(): void {
    this.wait = FIRST_WAIT_MS;
    live.set({ state: "live" });
    if (this.missed) everything();
    this.missed = false;
  }
}

// Until the stream ends, or is silent for too long.
async function readEvents(reading: AbortController, onHello: () => void): Promise<void> {
  const tooLong = () => reading.abort();
  let silence = setTimeout(tooLong, SILENCE_MS);
  try {
    const answer = await request("events", {}, { signal: reading.signal });
    if (!answer.body) return;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new EventParser();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(tooLong, SILENCE_MS);
      for (const { event, data } of parser.push(value)) {
        if (event === "hello") onHello();
        else tell(event, data);
      }
    }
  } finally {
    clearTimeout(silence);
  }
}

function tell(event: string, data: string): void {
  if (event === "change") {
    const change = JSON.parse(data) as ChangeEvent;
    const names = change.names ? new Set(change.names) : null;
    for (const listener of [...listeners]) listener.onChange?.(names);
  } else if (event === "sidecars") {
    const sidecars = JSON.parse(data) as SidecarsEvent;
    const nodes = sidecars.reported ? new Set(sidecars.reported) : null;
    for (const listener of [...listeners]) listener.onSidecars?.(nodes);
  }
}

function everything(): void {
  for (const listener of [...listeners]) {
    listener.onChange?.(null);
    listener.onSidecars?.(null);
  }
}

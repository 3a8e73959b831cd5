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

export function startEvents(): void {
  let wait = FIRST_WAIT_MS;
  let timer = 0;
  let before = false; // there was a stream: what happened since is unknown
  const connect = async () => {
    clearTimeout(timer);
    live.set({ state: "connecting" });
    try {
      await read(() => {
        wait = FIRST_WAIT_MS;
        live.set({ state: "live" });
        if (before) everything();
        before = true;
      });
    } catch {
      // The next try says whether it is there again.
    }
    const delay = wait * (0.5 + Math.random() / 2);
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    live.set({ state: "waiting", retryAt: Date.now() + delay });
    timer = setTimeout(connect, delay);
  };
  const now = () => live.get().state === "waiting" && connect();
  onToken(now);
  addEventListener("online", now);
  void connect();
}

async function read(onHello: () => void): Promise<void> {
  const gone = new AbortController();
  let silence = setTimeout(() => gone.abort(), SILENCE_MS);
  try {
    const answer = await request("events", {}, { signal: gone.signal });
    if (!answer.body) return;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new EventParser();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(() => gone.abort(), SILENCE_MS);
      for (const { event, data } of parser.push(value)) {
        if (event === "hello") onHello();
        else tell(event, data);
      }
    }
  } finally {
    clearTimeout(silence);
    gone.abort();
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

// One answer of the API, kept up to date while it is shown.
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, get, onToken } from "./client";
import { listen } from "./events";
import { Merged } from "../lib/merged";
import type { Query } from "../lib/route";

export interface Answer<T> {
  data?: T; // the last one; it stays while the next is on its way, and when that fails, unless it is gone
  error?: Error;
  again(): void;
}

// When to ask again by itself.
export interface Refresh {
  onName?: string; // this name changed, "namespace/name"; "*": any did
  onSidecar?: string; // this one reported; "*": any did
  everyMs?: number; // but no sooner than this after the time before
}

const OFTEN_MS = 200;

interface State<T> {
  key: string;
  data?: T;
  error?: Error;
}

// `path` null: nothing is asked.
export function useAnswer<T>(path: string | null, query: Query = {}, refresh: Refresh = {}): Answer<T> {
  const key = path === null ? "" : path + JSON.stringify(query);
  const [state, setState] = useState<State<T>>({ key });
  const asking = useRef<Merged>();

  useEffect(() => {
    if (path === null) return undefined;
    const gone = new AbortController();
    const load = async () => {
      try {
        const data = await get<T>(path, query, gone.signal);
        if (!gone.signal.aborted) setState({ key, data });
      } catch (error) {
        if (gone.signal.aborted) return;
        const isGone = error instanceof ApiError && error.status === 404;
        setState((s) => ({ key, data: s.key === key && !isGone ? s.data : undefined, error: error as Error }));
      }
    };
    const merged = new Merged(load, refresh.everyMs ?? OFTEN_MS);
    asking.current = merged;
    const concerns = (wanted: string | undefined, what: Set<string> | null) =>
      wanted !== undefined && (wanted === "*" || what === null || what.has(wanted));
    const stop = listen({
      onChange: (names) => concerns(refresh.onName, names) && merged.ask(),
      onSidecars: (nodes) => concerns(refresh.onSidecar, nodes) && merged.ask(),
    });
    const stopToken = onToken(() => merged.now());
    merged.now();
    return () => {
      stop();
      stopToken();
      merged.stop();
      gone.abort();
    };
  }, [key]);

  const again = () => asking.current?.now();
  // What belongs to another question is not shown as the answer to this one.
  return state.key === key ? { ...state, again } : { again };
}

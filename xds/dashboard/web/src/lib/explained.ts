// What a sidecar says when asked to explain a name (proxy/explain), field by field. It may be older or
// newer than this page: everything may be missing, and what is not known here is shown as it came.
import type { ObjectReference } from "../api/types";

// A link of the chain that had something to say, with whatever it said beside these.
export interface Step {
  plugin?: string;
  at?: string; // in the Corefile
  zone?: string;
  outcome?: string;
  asks?: string;
  tookMs?: number;
  [more: string]: unknown;
}

export interface Lookup {
  name: string;
  rcode?: string;
  error?: string;
  answers?: string[];
  server?: string;
  zone?: string;
  plugin?: string;
  tookMs?: number;
  steps?: Step[];
  why?: string; // there are no records
  similar?: string[];
  truncated?: boolean;
  extendedErrors?: { code: number; text: string }[];
  service?: Record<string, unknown>;
  objects?: ObjectReference[];
}

export interface ExplainedEndpoint {
  address: string;
  pod?: string;
  node?: string;
  zone?: string;
  eligible?: boolean;
  why?: string;
  open?: number;
  next?: string;
}

export interface Connection {
  address: string;
  port?: number;
  protocol: string;
  service?: string;
  captured?: string;
  outcome?: string;
  says?: string;
  policy?: { verdict?: string; says?: string };
  choice?: { how?: string; says?: string; affinity?: { seconds?: number } };
  endpoints?: ExplainedEndpoint[];
  more?: number;
}

export interface Explained {
  lookups: Lookup[];
  connections: Connection[];
  search: string[];
  ndots?: number;
  error?: string;
  rest: Record<string, unknown>; // feed and whatever else it says
}

const list = <T>(value: unknown): T[] => (Array.isArray(value) ? (value as T[]) : []);

export function readExplained(sidecar: Record<string, unknown> | null | undefined): Explained {
  const { lookups, connections, search, ndots, error, clusterDns: _dns, name: _name, type: _type, ...rest } = sidecar ?? {};
  return {
    lookups: list<Lookup>(lookups),
    connections: list<Connection>(connections),
    search: list<string>(search),
    ndots: typeof ndots === "number" ? ndots : undefined,
    error: typeof error === "string" ? error : undefined,
    rest,
  };
}

// "cacheHits" is "cache hits"
export function words(key: string): string {
  return key.replace(/([a-z])([A-Z])/g, (_all, a: string, b: string) => `${a} ${b.toLowerCase()}`);
}

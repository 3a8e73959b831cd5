// Small pieces that every page uses.
import type { ComponentChildren } from "preact";
import type { Replica, Warning } from "../api/types";
import type { Answer } from "../api/use_answer";
import { useStore } from "../lib/store";
import { ageOf, localTime, tick, utcTime } from "../lib/time";

// How long ago, going on by itself; the moment on hover.
export function Age({ at }: { at: string | null | undefined }) {
  useStore(tick);
  if (!at) return <span class="faint">–</span>;
  return (
    <time dateTime={at} title={`${localTime(at, true)} here\n${utcTime(at)}`}>
      {ageOf(at)}
    </time>
  );
}

// A moment in the zone of who looks; in UTC on hover.
export function Moment({ at }: { at: string | null | undefined }) {
  if (!at) return <span class="faint">–</span>;
  return (
    <time dateTime={at} title={utcTime(at)}>
      {localTime(at, true)}
    </time>
  );
}

export type Tone = "good" | "warn" | "bad" | "quiet";

export function Badge({ tone, title, children }: { tone: Tone; title?: string; children: ComponentChildren }) {
  return (
    <span class={`badge ${tone}`} title={title}>
      {children}
    </span>
  );
}

export function Warnings({ warnings }: { warnings: Warning[] | undefined }) {
  return (
    <>
      {(warnings ?? []).map((warning) => (
        <Badge key={warning.code} tone={warning.code === "no-endpoints" ? "bad" : "warn"} title={warning.message}>
          {warning.code}
        </Badge>
      ))}
    </>
  );
}

// Which replicas did not answer. Nothing where all did.
export function Replicas({ replicas }: { replicas: Replica[] | undefined }) {
  const silent = (replicas ?? []).filter((replica) => replica.error);
  if (!silent.length) return null;
  return (
    <p class="notice warn" role="status">
      Without {silent.length} of {replicas!.length} replicas:{" "}
      {silent.map((replica) => `${replica.name} (${replica.error})`).join(", ")}
    </p>
  );
}

// What to show before there is an answer, and what went wrong where there is none.
export function Pending({ of, what }: { of: Answer<unknown>; what: string }) {
  if (of.error) {
    return (
      <p class="notice bad" role="alert">
        {what}: {of.error.message}{" "}
        <button type="button" onClick={of.again}>
          Try again
        </button>
      </p>
    );
  }
  return of.data ? null : <p class="faint">Loading…</p>;
}

export function Facts({ facts }: { facts: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {facts.map(([term, value]) => (
        <div key={term}>
          <dt>{term}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

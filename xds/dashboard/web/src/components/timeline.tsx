// What happened to a name, newest first, each with its cause.
import type { HistoryEntry } from "../api/types";
import { count, plural } from "../lib/format";
import { Age, Badge, Moment, type Tone } from "./common";

const TONES: Record<string, Tone> = {
  "pod-ready": "good",
  "scaled-up": "good",
  "service-created": "good",
  "slice-created": "good",
  "pod-not-ready": "warn",
  "pod-terminating": "warn",
  "scaled-down": "warn",
  "slice-deleted": "warn",
  "service-deleted": "bad",
};

export interface TimelineProps {
  entries: HistoryEntry[];
  at: string | null;
  choose(at: string): void;
}

export function Timeline({ entries, at, choose }: TimelineProps) {
  // Entries are newest first: the first that is not after `at` is what was in force then.
  const current = at === null ? entries[0] : entries.find((entry) => entry.time <= at);
  return (
    <ol class="timeline">
      {entries.map((entry) => (
        <li key={`${entry.time} ${entry.cause} ${entry.object?.resourceVersion}`} class={entry === current ? "current" : ""}>
          <button
            type="button"
            class="moment"
            aria-current={entry === current ? "time" : undefined}
            title="Show what the name led to then"
            onClick={() => choose(entry.time)}
          >
            <Moment at={entry.time} />
          </button>
          <span class="ago">
            <Age at={entry.time} />
          </span>
          <Badge tone={TONES[entry.cause] ?? "quiet"}>{entry.cause}</Badge>
          <span class="what">
            {entry.summary}
            <Addresses entry={entry} />
          </span>
          <span class="faint after">
            {entry.endpoints && `${count(entry.endpoints.ready)} ready`}
            {entry.object?.resourceVersion && (
              <span title={`${entry.object.kind} ${entry.object.namespace}/${entry.object.name}`}>
                {" "}
                · {entry.object.kind} rv {entry.object.resourceVersion}
              </span>
            )}
          </span>
        </li>
      ))}
    </ol>
  );
}

function Addresses({ entry }: { entry: HistoryEntry }) {
  const changed = (entry.changed ?? []).map((it) => `${it.pod || it.address}: ${it.from} → ${it.to}`);
  return (
    <>
      {entry.added?.length ? <code class="good-text"> +{entry.added.join(" +")}</code> : null}
      {entry.removed?.length ? <code class="bad-text"> −{entry.removed.join(" −")}</code> : null}
      {changed.length ? <span class="faint"> {changed.join(", ")}</span> : null}
      {entry.more ? <span class="faint"> and {plural(entry.more, "more address")}</span> : null}
    </>
  );
}

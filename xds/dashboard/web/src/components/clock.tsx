// The clock of a name's page: which moment of the kept history is shown. `at` null: now.
import { useEffect, useRef, useState } from "preact/hooks";
import type { HistoryEntry } from "../api/types";
import { useStore } from "../lib/store";
import { ageOf, localTime, serverNow, tick, toInput, toIso, utcTime } from "../lib/time";

export interface ClockProps {
  at: string | null;
  since: string | null; // where the history begins
  entries: HistoryEntry[]; // newest first
  choose(at: string | null): void;
}

const STEPS: [string, number][] = [
  ["−1 min", -60_000],
  ["−10 s", -10_000],
  ["−1 s", -1000],
  ["+1 s", 1000],
  ["+10 s", 10_000],
  ["+1 min", 60_000],
];
const PAUSE_MS = 150; // while the slider moves
const SECOND = 1000;

export function Clock({ at, since, entries, choose }: ClockProps) {
  useStore(tick);
  const now = serverNow();
  const begin = since ? Date.parse(since) : now;
  const [moving, setMoving] = useState<number | null>(null);
  const timer = useRef(0);
  useEffect(() => {
    setMoving(null);
    return () => clearTimeout(timer.current);
  }, [at]);

  const shown = moving ?? (at ? Date.parse(at) : now);
  // The second that has begun is now: the slider's right end is up to a second before it.
  const set = (time: number) => choose(now - time < SECOND ? null : new Date(Math.max(begin, time)).toISOString());
  const slide = (time: number) => {
    setMoving(time);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      set(time);
      setMoving(null);
    }, PAUSE_MS);
  };
  // The change before and the one after what is shown; newest first.
  const earlier = entries.find((entry) => Date.parse(entry.time) < shown);
  const later = [...entries].reverse().find((entry) => Date.parse(entry.time) > shown);
  const iso = new Date(shown).toISOString();
  // It goes on by itself, but not below the hands of who sets it.
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (input.current && document.activeElement !== input.current) input.current.value = toInput(iso);
  });
  return (
    <section class="clock" aria-label="Moment shown">
      <div class="clock-row">
        <button type="button" aria-pressed={at === null} onClick={() => choose(null)}>
          Live
        </button>
        <label>
          <span class="spoken">Moment, in this machine's zone</span>
          <input
            ref={input}
            type="datetime-local"
            step="1"
            title={utcTime(iso)}
            min={toInput(new Date(begin).toISOString())}
            onChange={(event) => {
              const time = toIso(event.currentTarget.value);
              if (time) set(Date.parse(time));
            }}
          />
        </label>
        <span class="steps" role="group" aria-label="Steps">
          <button type="button" disabled={!earlier} onClick={() => earlier && choose(earlier.time)}>
            ‹ change before
          </button>
          {STEPS.map(([words, step]) => (
            <button key={words} type="button" disabled={step > 0 && at === null} onClick={() => set(shown + step)}>
              {words}
            </button>
          ))}
          <button type="button" disabled={!later || at === null} onClick={() => later && choose(later.time)}>
            change after ›
          </button>
        </span>
      </div>
      <div class="clock-row">
        <span class="faint">{since ? localTime(since) : "no history"}</span>
        <input
          type="range"
          class="slider"
          aria-label="Moment between the beginning of the history and now"
          aria-valuetext={localTime(iso)}
          min={begin}
          max={now}
          step={SECOND}
          value={shown}
          disabled={!since}
          onInput={(event) => slide(Number(event.currentTarget.value))}
        />
        <span class="faint">now</span>
      </div>
      <p class="spoken" role="status">
        {at !== null && `As it was at ${localTime(at, true)}`}
      </p>
      {at !== null && (
        <p class="notice quiet">
          As it was at <b title={utcTime(iso)}>{localTime(iso, true)}</b>, {ageOf(iso)}. Nothing here changes until you
          are back <button type="button" onClick={() => choose(null)}>live</button>
        </p>
      )}
    </section>
  );
}

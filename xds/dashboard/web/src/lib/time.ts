// Times as the API writes them ("2026-11-23T03:45:48.123Z"), shown in the zone of who looks.
import { store } from "./store";

// What the control plane's clock is ahead of this machine's: ages are told by the former.
let aheadMs = 0;

export function setServerTime(iso: string): void {
  const server = Date.parse(iso);
  if (!Number.isNaN(server)) aheadMs = server - Date.now();
}

export function serverNow(): number {
  return Date.now() + aheadMs;
}

// Counts seconds, so that ages go on while nothing else does.
export const tick = store(0);
export function startTicking(): void {
  setInterval(() => tick.set(tick.get() + 1), 1000);
}

// "now", "4 s", "3 min", "5 h 10 min", "12 d"; the future (clocks differ) is "now".
export function age(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 1) return "now";
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} d`;
}

export function ageOf(iso: string | null | undefined): string {
  if (!iso) return "–";
  const time = age(serverNow() - Date.parse(iso));
  return time === "now" ? time : `${time} ago`;
}

const two = (n: number) => String(n).padStart(2, "0");

export function localDay(date: Date): string {
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

export function localClock(date: Date): string {
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

// "14:03:05" of today, with its day otherwise; `parts` adds milliseconds.
export function localTime(iso: string, parts = false): string {
  const date = new Date(iso);
  const clock = localClock(date) + (parts ? "." + String(date.getMilliseconds()).padStart(3, "0") : "");
  const today = localDay(new Date(serverNow()));
  return localDay(date) === today ? clock : `${localDay(date)} ${clock}`;
}

export function utcTime(iso: string): string {
  return new Date(iso).toISOString().replace("T", " ").replace("Z", " UTC");
}

// The text of <input type="datetime-local">, which is local and has no zone.
export function toInput(iso: string): string {
  const date = new Date(iso);
  return `${localDay(date)}T${localClock(date)}`;
}

// As the API writes it; null: it is no time. Without a zone it is local.
export function toIso(text: string): string | null {
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}

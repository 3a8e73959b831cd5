// Where one is: what follows "#" in the address, "#/names/default/backend?at=2026-11-23T03:45:48.123Z".
// Every view is such an address, so that it can be kept, sent and gone back to.
import { store } from "./store";

export interface Route {
  path: string[]; // ["names", "default", "backend"]
  query: Record<string, string>;
}

export type Query = Record<string, string | undefined>;

// The page of names is where one begins.
export function parseRoute(hash: string): Route {
  const text = hash.replace(/^#\/?/, "");
  const mark = text.indexOf("?");
  const path = mark < 0 ? text : text.slice(0, mark);
  const query: Record<string, string> = {};
  if (mark >= 0) new URLSearchParams(text.slice(mark + 1)).forEach((value, key) => (query[key] = value));
  const parts = path.split("/").filter(Boolean).map(decode);
  return { path: parts.length ? parts : ["names"], query };
}

// An empty or missing parameter is left out.
export function link(path: string[], query: Query = {}): string {
  const kept = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value) kept.set(key, value);
  const text = kept.toString();
  return "#/" + path.map(encodeURIComponent).join("/") + (text ? "?" + text : "");
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // typed by hand
  }
}

export const route = store<Route>({ path: [], query: {} });

export function startRouting(): void {
  const read = () => route.set(parseRoute(location.hash));
  addEventListener("hashchange", read);
  read();
}

export function go(path: string[], query: Query = {}): void {
  location.hash = link(path, query);
}

// The same page with these parameters changed. It takes the place of the entry in the browser's
// history: typing a word is not a way of ten steps to go back.
export function change(query: Query): void {
  const { path, query: before } = route.get();
  history.replaceState(null, "", link(path, { ...before, ...query }));
  route.set(parseRoute(location.hash));
}

// Requests to the API of the control plane that served the page.
//
// Where it asks for a token (--http-auth kubernetes) the page asks the operator. The token is held in
// memory alone: a reload asks again, and nothing on this machine's disk can be read for it.
import { route, type Query } from "../lib/route";
import { store } from "../lib/store";

export class ApiError extends Error {
  constructor(
    readonly status: number, // 0: no answer
    message: string,
  ) {
    super(message);
  }
}

// What the form for a token says; null: none is needed, or the one given is good.
export const tokenNeeded = store<string | null>(null);

let token = "";
let left = false; // the form was, and what is refused says so in its own place, until one goes elsewhere
const waiting = new Set<() => void>();

// Lets all requests that were refused for want of a token try again.
export function setToken(text: string): void {
  token = text.trim();
  tokenNeeded.set(null);
  for (const again of [...waiting]) again();
}

export function leaveToken(): void {
  left = true;
  tokenNeeded.set(null);
}
route.watch(() => (left = false));

// Called after a new token was given; for what keeps a request open.
export function onToken(again: () => void): () => void {
  waiting.add(again);
  return () => waiting.delete(again);
}

export function url(path: string, query: Query = {}): string {
  const into = new URL("api/v1/" + path, document.baseURI);
  for (const [key, value] of Object.entries(query)) if (value) into.searchParams.set(key, value);
  return into.toString();
}

// Any answer but 200 is an ApiError, with the words of the server.
export async function request(path: string, query: Query, init: RequestInit): Promise<Response> {
  const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {};
  let answer: Response;
  try {
    answer = await fetch(url(path, query), { ...init, headers, credentials: "omit" });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError(0, "the control plane does not answer");
  }
  if (answer.ok) return answer;
  const message = await errorOf(answer);
  // 403 with a token: it is good, but not for this. Another one may be; who may look and not touch is told so
  // where he did it.
  const mayNotSee = answer.status === 403 && token && init.method !== "POST";
  if ((answer.status === 401 || mayNotSee) && !left) tokenNeeded.set(token ? message : "");
  throw new ApiError(answer.status, message);
}

async function errorOf(answer: Response): Promise<string> {
  try {
    const body: unknown = await answer.json();
    const error = (body as { error?: unknown }).error;
    if (typeof error === "string") return error;
  } catch {
    // Not ours: a proxy between.
  }
  return `${answer.status} ${answer.statusText}`;
}

export async function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  return (await request(path, query, { signal: signal ?? null })).json() as Promise<T>;
}

export async function post<T>(path: string, query: Query = {}): Promise<T> {
  return (await request(path, query, { method: "POST" })).json() as Promise<T>;
}

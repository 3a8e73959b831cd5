// Words for the state of a sidecar.
import type { Sidecar } from "../api/types";
import type { Tone } from "../components/common";

const HEALTH: Record<string, [Tone, string]> = {
  ok: ["good", "ok"],
  stale: ["warn", "stale"],
  nacked: ["bad", "refused an update"],
  "upstream-down": ["bad", "upstream down"],
  "not-reporting": ["quiet", "not reporting"],
};

export function healthOf(sidecar: Sidecar): [Tone, string] {
  return HEALTH[sidecar.health ?? ""] ?? ["quiet", sidecar.health ?? "–"];
}

export function syncTone(status: string): Tone {
  return status === "SYNCED" ? "good" : status === "NACKED" ? "bad" : status === "STALE" ? "warn" : "quiet";
}

// "Service SYNCED, Endpoints STALE" in as few words as will do.
export function syncOf(sidecar: Sidecar): [Tone, string] {
  const behind = sidecar.types.filter((type) => type.status !== "SYNCED" && type.status !== "NOT SENT");
  if (!sidecar.types.length) return ["quiet", "nothing asked for"];
  if (!behind.length) return ["good", "SYNCED"];
  const worst = behind.find((type) => type.status === "NACKED") ?? behind[0]!;
  return [syncTone(worst.status), `${worst.status}: ${behind.map((type) => type.type).join(", ")}`];
}

export function nacksOf(sidecar: Sidecar): string {
  return sidecar.types
    .filter((type) => type.lastNack)
    .map((type) => `${type.type}: ${type.lastNack}`)
    .join("\n");
}

export function upstreamsDown(sidecar: Sidecar): number {
  return (sidecar.report?.dns.upstreams ?? []).filter((upstream) => upstream.down).length;
}

// One that has just connected anew may be there twice, of two replicas too.
export function newestOf(streams: Sidecar[]): Sidecar | undefined {
  const since = (sidecar: Sidecar) => (sidecar.connected ? Date.parse(sidecar.connected) : 0);
  return [...streams].sort((a, b) => since(b) - since(a))[0];
}

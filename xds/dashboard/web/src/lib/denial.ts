// A denial in words.
import type { Denial, SidecarReport } from "../api/types";

const WORDS: Record<Denial["what"], string> = {
  connection: "TCP",
  flow: "UDP",
  name: "name",
  dns: "DNS",
  inbound: "inbound TCP",
  server_name: "server name",
  unknown: "unknown",
};

export function wordOf(what: Denial["what"]): string {
  return WORDS[what] ?? what;
}

// ADDR:PORT, the address of IPv6 in brackets; empty where a name was denied.
export function addressOf({ address, port }: Pick<Denial, "address" | "port">): string {
  if (!address) return "";
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

// What tells a row from all others of its page.
export function keyOf(denial: Denial): string {
  return [denial.node, denial.what, denial.mode, denial.name, addressOf(denial)].join(" ");
}

// Which policies a sidecar has in force, and whether it can enforce them in full.
export function policyText(policy: NonNullable<SidecarReport["policy"]>): string {
  if (!policy.known) return "none known yet";
  const names = policy.policies ?? [];
  if (!names.length) return "none selects it";
  const others = policy.otherPolicies ? ` and ${policy.otherPolicies} more` : "";
  return `${names.join(", ")}${others}${policy.partlyEnforced ? ": partly enforced" : ""}`;
}

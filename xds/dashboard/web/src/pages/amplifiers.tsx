// Which pods ask most for nothing, and what would help.
import { useState } from "preact/hooks";
import { useAnswer } from "../api/use_answer";
import type { Amplifier, AmplifiersPage as Answer } from "../api/types";
import { Pending, Replicas } from "../components/common";
import { count, percent, plural, rate } from "../lib/format";
import { change, link, route } from "../lib/route";
import { useStore } from "../lib/store";

const SORTS: [string, string][] = [
  ["wasted", "queries wasted"],
  ["nxdomain", "NXDOMAIN"],
];

export function AmplifiersPage() {
  const { query } = useStore(route);
  const { search = "", sort = "wasted" } = query;
  const answer = useAnswer<Answer>("amplifiers", { sort, limit: "200" }, { onSidecar: "*", everyMs: 3000 });
  const all = answer.data?.amplifiers ?? [];
  const word = search.toLowerCase();
  const shown = all.filter((it) => `${it.node} ${it.workload}`.toLowerCase().includes(word));
  return (
    <>
      <div class="title">
        <h1>Amplifiers</h1>
        <p role="status">
          {answer.data && plural(shown.length, "pod")} whose search list multiplies queries, or that ask for what is not
        </p>
        <label class="right">
          Most first by{" "}
          <select value={sort} onChange={(event) => change({ sort: event.currentTarget.value })}>
            {SORTS.map(([value, words]) => (
              <option key={value} value={value}>
                {words}
              </option>
            ))}
          </select>
        </label>
      </div>
      <Replicas replicas={answer.data?.replicas} />
      <Pending of={answer} what="Amplifiers" />
      {answer.data && !shown.length && <p class="faint">{all.length ? "Nothing matches." : "No sidecar reports any."}</p>}
      {shown.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Amplifiers">
        <table class="plain wide">
          <thead>
            <tr>
              <th>Pod</th>
              <th>Workload</th>
              <th class="end">Queries</th>
              <th class="end" title="with an end from the search list">Searched</th>
              <th class="end">NXDOMAIN</th>
              <th class="end">Upstream</th>
              <th class="end">Wasted/s</th>
              <th class="end">Wasted</th>
              <th class="end" title="queries that autopath in the Corefile would save">
                Autopath saves
              </th>
              <th class="end" title="queries that a final dot in the application's settings would save">
                Final dot saves
              </th>
            </tr>
          </thead>
          {shown.map((amplifier) => (
            <Lines key={amplifier.node} of={amplifier} />
          ))}
        </table>
        </div>
      )}
    </>
  );
}

function Lines({ of }: { of: Amplifier }) {
  const [open, setOpen] = useState(false);
  const ratio = of.wastedRatio ?? 0;
  return (
    <tbody>
      <tr>
        <td>
          <button
            type="button"
            class="fold"
            aria-expanded={open}
            aria-label={`Names that ${of.node} asks for`}
            disabled={!of.names.length}
            onClick={() => setOpen(!open)}
          >
            {open ? "▾" : "▸"}
          </button>{" "}
          <a href={link(["sidecars", ...of.node.split("/")])}>{of.node}</a>
        </td>
        <td class="line">{of.workload}</td>
        <td class="end">{count(of.queries)}</td>
        <td class="end">{count(of.searchListQueries)}</td>
        <td class="end">{count(of.nxdomain)}</td>
        <td class="end">{count(of.upstreamQueries)}</td>
        <td class="end">{rate(of.wastedPerSecond)}</td>
        <td class="end">
          <span class={ratio > 0.5 ? "bad-text" : ratio > 0.2 ? "warn-text" : ""}>{percent(of.wastedRatio)}</span>
        </td>
        <td class="end">{count(of.savedByAutopath)}</td>
        <td class="end">{count(of.savedByTrailingDot)}</td>
      </tr>
      {open &&
        of.names.map((name) => (
          <tr key={name.name} class="inner">
            <td colSpan={2}>
              <code>{name.name}</code>
            </td>
            <td class="end">{count(name.queries)}</td>
            <td />
            <td class="end">{count(name.nxdomain)}</td>
            <td colSpan={5}>{name.advice}</td>
          </tr>
        ))}
    </tbody>
  );
}

// Who talks to what, by workload, from what the sidecars report.
import { useMemo } from "preact/hooks";
import { useAnswer } from "../api/use_answer";
import type { FlowEdge, FlowsPage as Answer } from "../api/types";
import { Age, Pending, Replicas } from "../components/common";
import { Graph } from "../components/graph";
import { NamespaceFilter } from "../components/namespace_filter";
import { rowsOf, Table, type Column } from "../components/table";
import { bytes, count, plural } from "../lib/format";
import { change, link, route } from "../lib/route";
import { useStore } from "../lib/store";

const LIMITS = ["50", "100", "200", "500"];

function Node({ id }: { id: string }) {
  const [kind, namespace, name] = id.split("/");
  const text = id.slice(id.indexOf("/") + 1);
  if (kind !== "service" || !namespace || !name) return <span title={id}>{text}</span>;
  return (
    <a href={link(["names", namespace, name])} tabIndex={-1}>
      {text}
    </a>
  );
}

const COLUMNS: Column<FlowEdge>[] = [
  { key: "from", head: "From", width: "minmax(10rem, 1.5fr)", cell: (edge) => <Node id={edge.from} /> },
  { key: "to", head: "To", width: "minmax(10rem, 1.5fr)", cell: (edge) => <Node id={edge.to} /> },
  { key: "connections", head: "Connections", width: "7rem", end: true, cell: (edge) => count(edge.connections) },
  {
    key: "failures",
    head: "Failed",
    width: "5rem",
    end: true,
    cell: (edge) => <span class={edge.failures ? "bad-text" : "faint"}>{count(edge.failures)}</span>,
  },
  { key: "up", head: "Bytes up", width: "6rem", end: true, cell: (edge) => bytes(edge.bytesUp) },
  { key: "down", head: "Bytes down", width: "6rem", end: true, cell: (edge) => bytes(edge.bytesDown) },
  { key: "udp", head: "UDP flows", width: "6rem", end: true, cell: (edge) => count(edge.udpFlows) },
  { key: "seen", head: "Last seen", width: "7rem", end: true, cell: (edge) => <Age at={edge.lastSeen} /> },
];

export function FlowsPage() {
  const { query } = useStore(route);
  const { search, namespace, limit = "100", as = "graph" } = query;
  const answer = useAnswer<Answer>("flows", { search, namespace, limit }, { onSidecar: "*", everyMs: 3000 });
  const flows = answer.data;
  const rows = useMemo(() => rowsOf(flows?.edges ?? []), [flows]);
  return (
    <div class="fill">
      <div class="title">
        <h1>Flows</h1>
        <p role="status">
          {flows ? plural(flows.edges.length, "pair") + (flows.more ? `, and ${count(flows.more)} less busy` : "") : ""}
        </p>
        <div class="filters">
          <span role="group" aria-label="Show as">
            {["graph", "table"].map((kind) => (
              <button key={kind} type="button" aria-pressed={as === kind} onClick={() => change({ as: kind })}>
                {kind}
              </button>
            ))}
          </span>
          <NamespaceFilter namespace={namespace} />
          <label>
            The busiest{" "}
            <select value={limit} onChange={(event) => change({ limit: event.currentTarget.value })}>
              {LIMITS.map((number) => (
                <option key={number}>{number}</option>
              ))}
            </select>
          </label>
        </div>
      </div>
      <Replicas replicas={flows?.replicas} />
      <Pending of={answer} what="Flows" />
      {flows && !flows.edges.length && (
        <p class="faint">No sidecar has reported a connection{search || namespace ? " that matches" : ""}.</p>
      )}
      {flows && flows.edges.length > 0 && as === "graph" && <Graph flows={flows} />}
      {as === "table" && (
        <Table label="Flows" columns={COLUMNS} rows={rows} rowKey={(edge) => `${edge.from} ${edge.to}`} />
      )}
    </div>
  );
}

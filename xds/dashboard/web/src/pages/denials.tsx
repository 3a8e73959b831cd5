// What policy denied, or would have denied: who, what, by which policies, and which rule came nearest.
import { useMemo } from "preact/hooks";
import { useAnswer } from "../api/use_answer";
import type { Denial, DenialsPage as Answer } from "../api/types";
import { Age, Badge, Pending, Replicas } from "../components/common";
import { NamespaceFilter } from "../components/namespace_filter";
import { rowsOf, Table, type Column } from "../components/table";
import { addressOf, keyOf, wordOf } from "../lib/denial";
import { count, plural } from "../lib/format";
import { go, link, route } from "../lib/route";
import { useStore } from "../lib/store";

const LIMIT = "1000";

const COLUMNS: Column<Denial>[] = [
  {
    key: "pod",
    head: "Pod",
    width: "minmax(9rem, 1fr)",
    cell: (denial) => (
      <a href={link(["sidecars", ...denial.node.split("/")])} tabIndex={-1} title={denial.workload ?? undefined}>
        {denial.node}
      </a>
    ),
  },
  { key: "what", head: "What", width: "6rem", cell: (denial) => wordOf(denial.what) },
  { key: "name", head: "Name or Service", width: "minmax(8rem, 1fr)", cell: (denial) => <span title={denial.name}>{denial.name}</span> },
  { key: "address", head: "Address", width: "minmax(9rem, 0.8fr)", cell: (denial) => <code>{addressOf(denial)}</code> },
  {
    key: "policies",
    head: "Isolated by",
    width: "minmax(9rem, 1fr)",
    cell: (denial) => <span title={denial.policies}>{denial.policies || <span class="faint">none known yet</span>}</span>,
  },
  {
    key: "nearest",
    head: "Nearest rule",
    width: "minmax(10rem, 1.6fr)",
    cell: (denial) => <span title={denial.nearest}>{denial.nearest || <span class="faint">–</span>}</span>,
  },
  {
    key: "mode",
    head: "Mode",
    width: "6rem",
    cell: (denial) => (
      <Badge tone={denial.mode === "audit" ? "warn" : "bad"} title={denial.mode === "audit" ? "It was let through" : "It was denied"}>
        {denial.mode}
      </Badge>
    ),
  },
  { key: "count", head: "Count", width: "5rem", end: true, cell: (denial) => count(denial.count) },
  { key: "last", head: "Last seen", width: "6.5rem", end: true, cell: (denial) => <Age at={denial.last} /> },
];

export function DenialsPage() {
  const { query } = useStore(route);
  const { search, namespace } = query;
  const answer = useAnswer<Answer>("denials", { search, namespace, limit: LIMIT }, { onSidecar: "*", everyMs: 3000 });
  const denials = answer.data?.denials;
  const rows = useMemo(() => rowsOf(denials ?? []), [denials]);
  return (
    <div class="fill">
      <div class="title">
        <h1>Denials</h1>
        <p role="status">
          {denials && plural(denials.length, "kind")}
          {answer.data?.continue ? ", and more that are older" : ""}
        </p>
        <div class="filters">
          <NamespaceFilter namespace={namespace} />
        </div>
      </div>
      <Replicas replicas={answer.data?.replicas} />
      <Pending of={answer} what="Denials" />
      {denials && !denials.length && (
        <p class="faint">No sidecar has reported a denial{search || namespace ? " that matches" : ""}.</p>
      )}
      {denials && denials.length > 0 && (
        <Table
          label="Denials"
          columns={COLUMNS}
          rows={rows}
          rowKey={keyOf}
          open={(denial) => go(["sidecars", ...denial.node.split("/")])}
        />
      )}
    </div>
  );
}

// One name: what it leads to, now or at any moment of the kept history, and what happened to it.
import { useMemo } from "preact/hooks";
import { useAnswer } from "../api/use_answer";
import type {
  AskedBy,
  DnsRecord,
  Endpoint,
  EndpointSlice,
  HistoryPage,
  NameDetail,
  ObjectReference,
} from "../api/types";
import { Clock } from "../components/clock";
import { Age, Badge, Facts, Moment, Pending, Replicas, Warnings, type Tone } from "../components/common";
import { rowsOf, Table, type Column } from "../components/table";
import { Timeline } from "../components/timeline";
import { count, plural } from "../lib/format";
import { change, link, route } from "../lib/route";
import { useStore } from "../lib/store";
import { toIso } from "../lib/time";

export function NamePage() {
  const { path, query } = useStore(route);
  const namespace = path[1]!;
  const name = path[2]!;
  const key = `${namespace}/${name}`;
  const at = toIso(query["at"] ?? "");
  const detail = useAnswer<NameDetail>(
    `names/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`,
    { at: at ?? undefined },
    at === null ? { onName: key } : {},
  );
  const history = useAnswer<HistoryPage>("history", { namespace, name, limit: "200" }, { onName: key });
  const choose = (to: string | null) => change({ at: to ?? undefined });
  const entries = history.data?.entries ?? [];
  return (
    <>
      <div class="title">
        <h1>
          <a href={link(["names"], { namespace })} class="faint" title={`All names of ${namespace}`}>
            {namespace}/
          </a>
          {name}
        </h1>
        {detail.data && <code>{detail.data.dnsName}</code>}
        <Warnings warnings={detail.data?.warnings} />
        <a class="right" href={link(["explain"], { name: detail.data?.dnsName ?? name })}>
          Explain it for a pod
        </a>
      </div>
      <Clock at={at} since={history.data?.since ?? null} entries={entries} choose={choose} />
      <Replicas replicas={detail.data?.replicas ?? history.data?.replicas} />
      <Pending of={detail} what={key} />
      {detail.data && <Detail detail={detail.data} at={at} />}
      <h2>Timeline</h2>
      <Pending of={history} what="The history" />
      {history.data && !entries.length && <p class="faint">Nothing has happened to it since the history begins.</p>}
      <Timeline entries={entries} at={at} choose={choose} />
      {history.data?.continue && <p class="faint">Older changes: portolanctl history {key}</p>}
    </>
  );
}

function Detail({ detail, at }: { detail: NameDetail; at: string | null }) {
  return (
    <>
      <p class="spoken" role="status">
        {detail.endpoints && `${plural(detail.endpoints.ready, "endpoint")} ready`}
      </p>
      <ul class="warnings">
        {(detail.warnings ?? []).map((warning) => (
          <li key={warning.code} class="warn-text">
            {warning.message}
          </li>
        ))}
      </ul>
      <Facts facts={factsOf(detail)} />
      <Endpoints slices={detail.endpointSlices} />
      <Records detail={detail} />
      <div class="columns">
        <Objects objects={detail.objects} />
        {at === null && <Asked asked={detail.askedBy} />}
      </div>
    </>
  );
}

function factsOf(detail: NameDetail): [string, preact.ComponentChildren][] {
  const facts: [string, preact.ComponentChildren][] = [["Type", detail.headless ? "headless" : detail.type]];
  const addresses = (title: string, list: string[] | undefined) => {
    if (list?.length) facts.push([title, <code>{list.join(" ")}</code>]);
  };
  if (detail.externalName) facts.push(["External name", <code>{detail.externalName}</code>]);
  if (!detail.headless) addresses("Cluster IPs", detail.clusterIPs);
  addresses("External IPs", detail.externalIPs);
  addresses("Load balancer", detail.loadBalancerIPs);
  const ports = detail.ports.map((port) => `${port.name ? port.name + " " : ""}${port.port}/${port.protocol}`);
  if (ports.length) facts.push(["Ports", ports.join(", ")]);
  if (detail.endpoints) {
    const { ready, serving, terminating } = detail.endpoints;
    facts.push(["Endpoints", `${count(ready)} ready, ${count(serving)} serving, ${count(terminating)} terminating`]);
  }
  if (detail.lastChange) facts.push(["Last change", <Age at={detail.lastChange} />]);
  if (detail.sessionAffinity === "ClientIP") {
    facts.push(["Affinity", `by client address, ${detail.sessionAffinityTimeoutSeconds} s`]);
  }
  if (detail.internalTrafficPolicy === "Local") facts.push(["Internal traffic", "this node's endpoints alone"]);
  if (detail.trafficDistribution) facts.push(["Distribution", detail.trafficDistribution]);
  if (detail.publishNotReadyAddresses) facts.push(["Not ready", "published all the same"]);
  const labels = Object.entries(detail.labels ?? {});
  if (labels.length) facts.push(["Labels", <Labels labels={labels} />]);
  return facts;
}

function Labels({ labels }: { labels: [string, string][] }) {
  return (
    <>
      {labels.map(([key, value]) => (
        <a key={key} class="badge quiet" href={link(["names"], { label: `${key}=${value}` })}>
          {key}={value}
        </a>
      ))}
    </>
  );
}

interface Row extends Endpoint {
  slice: string;
}

function stateOf({ conditions }: Endpoint): [Tone, string] {
  if (conditions.terminating) return ["warn", conditions.serving ? "terminating, serving" : "terminating"];
  if (conditions.ready) return ["good", "ready"];
  return ["bad", "not ready"];
}

// The pods of a Service are of its own namespace.
function podOf({ pod }: Row) {
  return <span title={pod}>{pod?.slice(pod.indexOf("/") + 1) ?? "–"}</span>;
}

const ENDPOINT_COLUMNS: Column<Row>[] = [
  { key: "address", head: "Address", width: "minmax(9rem, 1.2fr)", cell: (row) => <code>{row.addresses.join(" ")}</code> },
  {
    key: "state",
    head: "State",
    width: "10rem",
    cell: (row) => {
      const [tone, words] = stateOf(row);
      return <Badge tone={tone}>{words}</Badge>;
    },
  },
  { key: "pod", head: "Pod", width: "minmax(10rem, 1.8fr)", cell: podOf },
  { key: "node", head: "Node", width: "minmax(6rem, 1fr)", cell: (row) => row.nodeName ?? "–" },
  { key: "zone", head: "Zone", width: "minmax(5rem, 0.8fr)", cell: (row) => row.zone ?? "–" },
  {
    key: "hints",
    head: "Hints",
    title: "for whom it is meant: zones and nodes",
    width: "minmax(5rem, 0.8fr)",
    cell: (row) => [...(row.zoneHints ?? []), ...(row.nodeHints ?? [])].join(" ") || "–",
  },
  { key: "hostname", head: "Hostname", width: "minmax(5rem, 0.8fr)", cell: (row) => row.hostname ?? "–" },
  { key: "slice", head: "EndpointSlice", width: "minmax(8rem, 1.2fr)", cell: (row) => <span title={row.slice}>{row.slice}</span> },
];

function Endpoints({ slices }: { slices: EndpointSlice[] | null }) {
  const rows = useMemo(() => {
    const list: Row[] = [];
    for (const slice of slices ?? []) {
      for (const endpoint of slice.endpoints) list.push({ ...endpoint, slice: slice.name });
    }
    return rowsOf(list);
  }, [slices]);
  if (slices === null) return null;
  return (
    <section aria-label="Endpoints">
      <h2>Endpoints</h2>
      <Table
        label="Endpoints"
        columns={ENDPOINT_COLUMNS}
        rows={rows}
        rowKey={(row) => `${row.slice} ${row.addresses[0]}`}
        mostRows={12}
        empty="None: a client that asks for it is told that the name leads nowhere."
      />
    </section>
  );
}

const RECORD_COLUMNS: Column<DnsRecord>[] = [
  { key: "name", head: "Name", width: "minmax(14rem, 2fr)", cell: (record) => <code title={record.name}>{record.name}</code> },
  { key: "ttl", head: "TTL", width: "3.5rem", end: true, cell: (record) => record.ttl },
  { key: "class", head: "Class", width: "3rem", cell: () => <code>IN</code> },
  { key: "type", head: "Type", width: "4.5rem", cell: (record) => <code>{record.type}</code> },
  { key: "data", head: "Data", width: "minmax(12rem, 2fr)", cell: (record) => <code title={record.data}>{record.data}</code> },
];

function Records({ detail }: { detail: NameDetail }) {
  const { records, recordsTruncated: truncated, noRecords } = detail;
  const rows = useMemo(() => rowsOf(records ?? []), [records]);
  if (!records) return null;
  return (
    <section aria-label="Records">
      <h2>
        Records <span class="faint">as a sidecar answers them{truncated ? `; the first ${records.length}` : ""}</span>
      </h2>
      <Table
        label="Records"
        columns={RECORD_COLUMNS}
        rows={rows}
        rowKey={(record) => `${record.name} ${record.type} ${record.data}`}
        mostRows={12}
        empty="None."
      />
      {noRecords?.map((none) => (
        <p key={none.type}>
          {none.type} of <code>{none.name}</code>: <Badge tone="quiet">{none.answer}</Badge> {none.why}
        </p>
      ))}
    </section>
  );
}

function Objects({ objects }: { objects?: ObjectReference[] }) {
  if (!objects?.length) return null;
  return (
    <section>
      <h2>Objects</h2>
      <table class="plain">
        <thead>
          <tr>
            <th>Kind</th>
            <th>Name</th>
            <th>resourceVersion</th>
            <th>Arrived</th>
          </tr>
        </thead>
        <tbody>
          {objects.map((object) => (
            <tr key={object.kind + object.name}>
              <td>{object.kind}</td>
              <td>
                {object.namespace}/{object.name}
              </td>
              <td>
                <code>{object.resourceVersion || "–"}</code>
              </td>
              <td>
                <Moment at={object.arrived} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Asked({ asked }: { asked?: AskedBy | null }) {
  if (!asked) return null;
  return (
    <section>
      <h2>
        Asked lately{" "}
        <span class="faint">
          {asked.pods ? `by ${plural(asked.pods, "pod")}, ${count(asked.queries)} queries` : "by no sidecar that says so"}
        </span>
      </h2>
      {asked.byPod?.length ? (
        <table class="plain">
          <thead>
            <tr>
              <th>Pod</th>
              <th class="end">Queries</th>
              <th class="end">Last</th>
            </tr>
          </thead>
          <tbody>
            {asked.byPod.map((by) => (
              <tr key={by.node}>
                <td>
                  <a href={link(["sidecars", ...by.node.split("/")])}>{by.node}</a>
                </td>
                <td class="end">{count(by.queries)}</td>
                <td class="end">
                  <Age at={by.lastAsked} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : null}
    </section>
  );
}

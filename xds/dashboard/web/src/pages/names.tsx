// Every Service and headless name of the cluster.
import { useEffect, useMemo, useState } from "preact/hooks";
import { get, onToken } from "../api/client";
import { listen } from "../api/events";
import type { Name, NamesPage as Answer, Replica } from "../api/types";
import { Age, Badge, Replicas, Warnings } from "../components/common";
import { NamespaceFilter } from "../components/namespace_filter";
import { Table, type Column } from "../components/table";
import { count, plural } from "../lib/format";
import { Merged } from "../lib/merged";
import { PagedRows } from "../lib/paged_rows";
import { change, go, link, route, type Query } from "../lib/route";
import { useStore } from "../lib/store";

const WARNINGS: [string, string][] = [
  ["no-endpoints", "no endpoints"],
  ["none-ready", "none ready"],
  ["stale-slice", "stale slice"],
  ["name-shadowed", "name shadowed"],
  ["target-port-missing", "target port missing"],
  ["external-name-to-nowhere", "external name to nowhere"],
  ["duplicate-address", "duplicate address"],
];

const SELDOM_MS = 2000;

const keyOf = (name: Name) => `${name.namespace}/${name.name}`;

const COLUMNS: Column<Name>[] = [
  {
    key: "name",
    head: "Name",
    sort: "name",
    width: "minmax(11rem, 2.2fr)",
    cell: (name) => (
      <a href={link(["names", name.namespace, name.name])} tabIndex={-1} title={name.dnsName}>
        <span class="faint">{name.namespace}/</span>
        {name.name}
      </a>
    ),
  },
  { key: "type", head: "Type", width: "6.5rem", cell: typeOf },
  { key: "addresses", head: "Addresses", width: "minmax(7.5rem, 1.2fr)", cell: addressesOf },
  { key: "ports", head: "Ports", width: "minmax(4.5rem, 0.8fr)", cell: portsOf },
  {
    key: "endpoints",
    head: "Endpoints",
    title: "ready / serving / terminating",
    width: "6.5rem",
    end: true,
    cell: endpointsOf,
  },
  { key: "changed", head: "Changed", sort: "changed", width: "7rem", end: true, cell: (name) => <Age at={name.lastChange} /> },
  { key: "asked", head: "Asked by", width: "8rem", end: true, cell: askedOf },
  { key: "warnings", head: "Warnings", width: "minmax(7rem, 1fr)", cell: (name) => <Warnings warnings={name.warnings} /> },
];

function typeOf(name: Name) {
  if (!name.headless) return name.type;
  return <span title={name.hostnames ? `${plural(name.hostnames, "endpoint")} with a name of its own` : ""}>headless</span>;
}

function addressesOf(name: Name) {
  const text = name.externalName ? `→ ${name.externalName}` : name.clusterIPs.filter((ip) => ip !== "None").join(" ");
  return <code title={text}>{text || "–"}</code>;
}

function portsOf(name: Name) {
  const text = name.ports.map((port) => `${port.port}${port.protocol === "TCP" ? "" : "/" + port.protocol}`).join(" ");
  return <span title={name.ports.map((p) => `${p.name || "(unnamed)"} ${p.port}/${p.protocol}`).join("\n")}>{text}</span>;
}

function endpointsOf(name: Name) {
  if (!name.endpoints || name.type === "ExternalName") return <span class="faint">–</span>;
  const { ready, serving, terminating } = name.endpoints;
  return (
    <span title={`${ready} ready, ${serving} serving, ${terminating} terminating`}>
      <b class={ready ? "" : "bad-text"}>{count(ready)}</b>
      <span class="faint"> / {count(serving)} / </span>
      <span class={terminating ? "warn-text" : "faint"}>{count(terminating)}</span>
    </span>
  );
}

function askedOf(name: Name) {
  const asked = name.askedBy;
  if (!asked?.pods) return <span class="faint">–</span>;
  return (
    <span title={`${count(asked.queries)} queries`}>
      {plural(asked.pods, "pod")}, <Age at={asked.lastAsked} />
    </span>
  );
}

// The rows of one question, and what came beside them.
function useNames(query: Query) {
  const [, draw] = useState(0);
  const question = JSON.stringify(query);
  const state = useMemo(() => {
    const beside: { replicas?: Replica[] } = {};
    const rows = new PagedRows<Name>(
      async (offset, limit) => {
        const page = await get<Answer>("names", { ...query, offset: String(offset), limit: String(limit) });
        beside.replicas = page.replicas;
        return { total: page.total, rows: page.names };
      },
      () => draw((n) => n + 1),
    );
    return { rows, beside };
  }, [question]);
  useEffect(() => {
    const { rows } = state;
    // What is not seen may still be one more or one less, and who asked is told by every report.
    const seldom = new Merged(async () => rows.invalidate(), SELDOM_MS);
    const isSeen = (names: Set<string>) => [...rows.looked()].some((name) => names.has(keyOf(name)));
    const stop = listen({
      onChange: (names) => (!names || query["sort"] === "changed" || isSeen(names) ? rows.invalidate() : seldom.ask()),
      onSidecars: () => seldom.ask(),
    });
    const stopToken = onToken(() => rows.invalidate());
    return () => {
      stop();
      stopToken();
      seldom.stop();
      rows.close();
    };
  }, [state]);
  return state;
}

export function NamesPage() {
  const { query } = useStore(route);
  const { search, namespace, warning, label, sort = "name" } = query;
  const { rows, beside } = useNames({ search, namespace, warning, label, sort });
  const filtered = Boolean(search || namespace || warning || label);
  return (
    <div class="fill">
      <div class="title">
        <h1>Names</h1>
        <p role="status">{rows.known ? plural(rows.total, filtered ? "match" : "name") : "Loading…"}</p>
        <Filters namespace={namespace} warning={warning} label={label} />
      </div>
      <Replicas replicas={beside.replicas} />
      {rows.error && (
        <p class="notice bad" role="alert">
          {rows.error.message}{" "}
          <button type="button" onClick={() => rows.invalidate()}>
            Try again
          </button>
        </p>
      )}
      <Table
        label="Names"
        columns={COLUMNS}
        rows={rows}
        rowKey={keyOf}
        open={(name) => go(["names", name.namespace, name.name])}
        sort={sort}
        descending={["changed"]}
        onSort={(to) => change({ sort: to })}
        empty={!rows.known ? "" : filtered ? "Nothing matches." : "There is no Service in this cluster."}
      />
    </div>
  );
}

function Filters({ namespace, warning, label }: { namespace?: string; warning?: string; label?: string }) {
  return (
    <div class="filters">
      <NamespaceFilter namespace={namespace} />
      <label>
        Warning{" "}
        <select value={warning ?? ""} onChange={(event) => change({ warning: event.currentTarget.value })}>
          <option value="">any or none</option>
          <option value="any">any</option>
          {WARNINGS.map(([code, words]) => (
            <option key={code} value={code}>
              {words}
            </option>
          ))}
        </select>
      </label>
      {label && (
        <Badge tone="quiet">
          {label}{" "}
          <button type="button" aria-label={`No longer only ${label}`} onClick={() => change({ label: undefined })}>
            ×
          </button>
        </Badge>
      )}
    </div>
  );
}

// Every sidecar that is connected, those that are furthest behind first.
import { useEffect, useMemo, useState } from "preact/hooks";
import { get, onToken } from "../api/client";
import { listen } from "../api/events";
import type { Replica, Sidecar, SidecarsPage as Answer } from "../api/types";
import { Age, Badge, Replicas } from "../components/common";
import { HeatMap } from "../components/heat_map";
import { rowsOf, Table, type Column } from "../components/table";
import { milliseconds, percent, plural, rate } from "../lib/format";
import { Merged } from "../lib/merged";
import { change, go, link, route } from "../lib/route";
import { healthOf, nacksOf, syncOf, upstreamsDown } from "../lib/sidecar";
import { useStore } from "../lib/store";

const PAGE = "500";
const MOST = 5000;
// Some 2 KB each: a few are asked for often, many seldom.
const FEW = 500;
const FEW_EVERY_MS = 2000;
const MANY_EVERY_MS = 10_000;

const COLUMNS: Column<Sidecar>[] = [
  {
    key: "node",
    head: "Sidecar",
    sort: "node",
    width: "minmax(13rem, 2fr)",
    cell: (sidecar) => (
      <a href={link(["sidecars", ...sidecar.node.split("/")])} tabIndex={-1} title={sidecar.peer}>
        {sidecar.node}
      </a>
    ),
  },
  {
    key: "health",
    head: "Health",
    width: "7.5rem",
    cell: (sidecar) => {
      const [tone, words] = healthOf(sidecar);
      return (
        <Badge tone={tone} title={sidecar.healthWhy ?? nacksOf(sidecar)}>
          {words}
        </Badge>
      );
    },
  },
  {
    key: "sync",
    head: "In sync",
    width: "minmax(4.5rem, 0.6fr)",
    cell: (sidecar) => {
      const [tone, words] = syncOf(sidecar);
      return (
        <span class={`${tone}-text`} title={words}>
          {words}
        </span>
      );
    },
  },
  {
    key: "lag",
    head: "Lag p50 / p99",
    sort: "lag",
    width: "7.5rem",
    end: true,
    cell: (sidecar) => (
      <span title={sidecar.lag?.worstType ? `worst: ${sidecar.lag.worstType}` : ""}>
        <span class="faint">{milliseconds(sidecar.lag?.p50Ms)} / </span>
        {milliseconds(sidecar.lag?.p99Ms)}
      </span>
    ),
  },
  { key: "queries", head: "Queries/s", width: "4.25rem", end: true, cell: (s) => rate(s.rates?.queriesPerSecond) },
  {
    key: "nxdomain",
    head: "NX/s",
    title: "NXDOMAIN a second",
    width: "3.5rem",
    end: true,
    cell: (s) => rate(s.rates?.nxdomainPerSecond),
  },
  { key: "cache", head: "Cache hits", width: "4.5rem", end: true, cell: (s) => percent(s.rates?.cacheHitRatio) },
  { key: "upstreams", head: "Upstreams", width: "5.25rem", end: true, cell: upstreamsOf },
  { key: "reported", head: "Reported", width: "5.5rem", end: true, cell: (s) => <Age at={s.report?.received} /> },
  {
    key: "version",
    head: "Version",
    width: "3.5rem",
    cell: (s) => <span title={s.version}>{s.version.replace(/^portolan-proxy /, "")}</span>,
  },
];

function upstreamsOf(sidecar: Sidecar) {
  const all = sidecar.report?.dns.upstreams.length ?? 0;
  const down = upstreamsDown(sidecar);
  if (!all) return <span class="faint">–</span>;
  return <span class={down ? "bad-text" : ""}>{down ? `${down} down` : `${all} up`}</span>;
}

interface List {
  sidecars?: Sidecar[];
  replicas?: Replica[];
  error?: Error;
  more?: boolean;
}

function useSidecars(search: string | undefined, sort: string): List & { again(): void } {
  const [list, setList] = useState<List>({});
  const merged = useMemo(() => {
    const gone = new AbortController();
    const load = async () => {
      try {
        const sidecars: Sidecar[] = [];
        let page: Answer | undefined;
        do {
          page = await get<Answer>("sidecars", { search, sort, limit: PAGE, continue: page?.continue }, gone.signal);
          sidecars.push(...page.sidecars);
        } while (page.continue && sidecars.length < MOST);
        asking.everyMs = sidecars.length > FEW ? MANY_EVERY_MS : FEW_EVERY_MS;
        setList({ sidecars, replicas: page.replicas, more: Boolean(page.continue) });
      } catch (error) {
        if (!gone.signal.aborted) setList((before) => ({ ...before, error: error as Error }));
      }
    };
    const asking = new Merged(load, FEW_EVERY_MS);
    return { asking, gone };
  }, [search, sort]);
  useEffect(() => {
    const { asking, gone } = merged;
    const stop = listen({ onSidecars: () => asking.ask(), onChange: () => asking.ask() });
    const stopToken = onToken(() => asking.now());
    asking.now();
    return () => {
      stop();
      stopToken();
      asking.stop();
      gone.abort();
    };
  }, [merged]);
  return { ...list, again: () => merged.asking.now() };
}

export function SidecarsPage() {
  const { query } = useStore(route);
  const { search, sort = "lag" } = query;
  const { sidecars, replicas, error, more, again } = useSidecars(search, sort);
  const rows = useMemo(() => rowsOf(sidecars ?? []), [sidecars]);
  return (
    <div class="fill">
      <div class="title">
        <h1>Sidecars</h1>
        <p role="status">
          {sidecars ? plural(sidecars.length, search ? "match" : "sidecar") + (more ? " and more" : "") : "Loading…"}
        </p>
      </div>
      <Replicas replicas={replicas} />
      {error && (
        <p class="notice bad" role="alert">
          {error.message}{" "}
          <button type="button" onClick={again}>
            Try again
          </button>
        </p>
      )}
      {sidecars && sidecars.length > 0 && <HeatMap sidecars={sidecars} />}
      <Table
        label="Sidecars"
        columns={COLUMNS}
        rows={rows}
        rowKey={(sidecar) => sidecar.node}
        open={(sidecar) => go(["sidecars", ...sidecar.node.split("/")])}
        sort={sort}
        descending={["lag"]}
        onSort={(to) => change({ sort: to })}
        empty={sidecars ? (search ? "Nothing matches." : "No sidecar is connected.") : ""}
      />
    </div>
  );
}

// One sidecar: what it was sent and took, what it said last, and what it can be asked.
import { useState } from "preact/hooks";
import { get, post } from "../api/client";
import { useAnswer } from "../api/use_answer";
import type { Sidecar, SidecarReport, SidecarsPage, SidecarType } from "../api/types";
import { Age, Badge, Facts, Pending, Replicas } from "../components/common";
import { bytes, count, milliseconds, percent, plural, rate } from "../lib/format";
import { link, route } from "../lib/route";
import { policyText } from "../lib/denial";
import { healthOf, newestOf, syncTone } from "../lib/sidecar";
import { useStore } from "../lib/store";

export function SidecarPage() {
  const { path } = useStore(route);
  const node = `${path[1]}/${path[2]}`;
  const answer = useAnswer<SidecarsPage>("sidecars", { node }, { onSidecar: node, onName: "*", everyMs: 1000 });
  const sidecar = newestOf(answer.data?.sidecars ?? []);
  return (
    <>
      <div class="title">
        <h1>
          <a href={link(["sidecars"])} class="faint">
            Sidecar
          </a>{" "}
          {node}
        </h1>
        {sidecar && <Badge tone={healthOf(sidecar)[0]}>{healthOf(sidecar)[1]}</Badge>}
        {sidecar?.healthWhy && <p>{sidecar.healthWhy}</p>}
        <a class="right" href={link(["explain"], { pod: node })}>
          Explain a name for it
        </a>
      </div>
      <Replicas replicas={answer.data?.replicas} />
      <Pending of={answer} what={node} />
      {answer.data && !sidecar && <p>No sidecar of that name is connected to a replica that answered.</p>}
      {sidecar && <Connected sidecar={sidecar} />}
    </>
  );
}

function Connected({ sidecar }: { sidecar: Sidecar }) {
  const report = sidecar.report;
  return (
    <>
      <Facts
        facts={[
          ["Version", sidecar.version],
          ["Peer", <code>{sidecar.peer}</code>],
          ["Connected", <Age at={sidecar.connected} />],
          ["Replica", sidecar.replica ?? "–"],
          ["Lag", `p50 ${milliseconds(sidecar.lag?.p50Ms)}, p99 ${milliseconds(sidecar.lag?.p99Ms)}`],
          ["Queries", perSecond(sidecar.rates?.queriesPerSecond)],
          ["NXDOMAIN", perSecond(sidecar.rates?.nxdomainPerSecond)],
          ["Cache hits", percent(sidecar.rates?.cacheHitRatio)],
          ["Connections", perSecond(sidecar.rates?.connectionsPerSecond)],
        ]}
      />
      <h2>What it was sent</h2>
      <Types types={sidecar.types} />
      {report ? <Report node={sidecar.node} report={report} /> : <p class="faint">It has not reported yet.</p>}
      <Ask node={sidecar.node} />
    </>
  );
}

function perSecond(n: number | undefined): string {
  return n === undefined ? "–" : `${rate(n)}/s`;
}

function Types({ types }: { types: SidecarType[] }) {
  return (
    <table class="plain">
      <thead>
        <tr>
          <th>Type</th>
          <th>State</th>
          <th>Subscribed</th>
          <th class="end">Sent</th>
          <th class="end">Acknowledged</th>
          <th class="end">Lag</th>
          <th class="end">Last change took</th>
          <th>NACK</th>
        </tr>
      </thead>
      <tbody>
        {types.map((type) => (
          <tr key={type.type}>
            <td>{type.type}</td>
            <td>
              <Badge tone={syncTone(type.status)}>{type.status}</Badge>
            </td>
            <td>{type.wildcard ? "all" : plural(type.subscribedNames, "name")}</td>
            <td class="end">{count(type.sentGeneration)}</td>
            <td class="end">{count(type.acknowledgedGeneration)}</td>
            <td class="end">{milliseconds(type.lagMs)}</td>
            <td class="end">{milliseconds(type.lastPropagationMs)}</td>
            <td class="bad-text">{type.lastNack ? `${type.lastNack} (${count(type.nacks)} in all)` : ""}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Report({ node, report }: { node: string; report: SidecarReport }) {
  const { feed, dns, forwarder, endpoints } = report;
  const responses = Object.entries(dns.responses).sort((a, b) => b[1] - a[1]);
  return (
    <>
      <h2>
        What it said{" "}
        <span class="faint">
          <Age at={report.received} />; totals since it started <Age at={report.started} />
        </span>
      </h2>
      <Facts
        facts={[
          ["Feed", <span class={feed.inSync ? "good-text" : "bad-text"}>{feed.inSync ? "in sync" : "not in sync"}, from {feed.source}</span>],
          ["DNS queries", count(dns.queries)],
          ["Answers", responses.map(([rcode, n]) => `${rcode} ${count(n)}`).join(", ") || "–"],
          ["Cache", `${count(dns.cacheHits)} hits, ${count(dns.cacheMisses)} misses`],
          ["Connections", `${count(forwarder.connections)}, ${count(forwarder.failures)} failed, ${count(forwarder.active)} open`],
          ["Bytes", `${bytes(forwarder.bytesUp)} up, ${bytes(forwarder.bytesDown)} down`],
          ["Policy", report.policy ? policyText(report.policy) : "–"],
          [
            "Denied",
            report.policy ? (
              <a href={link(["denials"], { search: node })}>
                {count(report.policy.denied)}, {count(report.policy.audited)} in audit
              </a>
            ) : (
              "–"
            ),
          ],
          ["Endpoints held", `of ${plural(endpoints.held, "Service")}, ${count(endpoints.wanted)} wanted`],
        ]}
      />
      {dns.upstreams.length > 0 && (
        <table class="plain">
          <thead>
            <tr>
              <th>Upstream</th>
              <th>Health</th>
              <th class="end">Answers</th>
              <th class="end">Failures</th>
              <th class="end">Failed probes</th>
            </tr>
          </thead>
          <tbody>
            {dns.upstreams.map((upstream) => (
              <tr key={upstream.address}>
                <td>
                  <code>{upstream.address}</code>
                </td>
                <td>
                  <Badge tone={upstream.down ? "bad" : "good"}>{upstream.down ? "down" : "up"}</Badge>
                </td>
                <td class="end">{count(upstream.answers)}</td>
                <td class="end">{count(upstream.failures)}</td>
                <td class="end">{count(upstream.failedProbes)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

const LEVELS = ["debug", "info", "warn", "error"];

// Questions that go to the sidecar itself.
function Ask({ node }: { node: string }) {
  const [said, setSaid] = useState<string>();
  const [dump, setDump] = useState<string>();
  const path = `sidecars/${node.split("/").map(encodeURIComponent).join("/")}`;
  const ask = async (question: () => Promise<void>) => {
    setSaid("Asking…");
    try {
      await question();
    } catch (error) {
      setSaid((error as Error).message);
    }
  };
  return (
    <>
      <h2>Ask it</h2>
      <div class="form">
        <button
          type="button"
          onClick={() =>
            ask(async () => {
              setDump(JSON.stringify(await get(`${path}/config_dump`), null, 1));
              setSaid(undefined);
            })
          }
        >
          Show its configuration
        </button>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            const level = String(new FormData(event.currentTarget).get("level"));
            void ask(async () => {
              await post(`${path}/logging`, { level });
              setSaid(`Its log level is now ${level}, until it restarts.`);
            });
          }}
        >
          <label>
            Log level{" "}
            <select name="level">
              {LEVELS.map((level) => (
                <option key={level} selected={level === "info"}>
                  {level}
                </option>
              ))}
            </select>
          </label>{" "}
          <button type="submit">Set</button>
        </form>
      </div>
      <p role="status">{said}</p>
      {dump && (
        <pre class="dump" tabIndex={0} aria-label="Configuration of the sidecar">
          {dump}
        </pre>
      )}
    </>
  );
}

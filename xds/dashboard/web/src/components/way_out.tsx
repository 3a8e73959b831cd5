// The way out of a name, step by step, as the sidecar told it: lookups, then connections.
import type { ObjectReference } from "../api/types";
import { count, milliseconds } from "../lib/format";
import type { Connection, Explained, Lookup, Step as StepSaid } from "../lib/explained";
import { Badge, type Tone } from "./common";
import { Tree } from "./tree";

export function WayOut({ explained }: { explained: Explained }) {
  const { lookups, connections, search, ndots, rest } = explained;
  return (
    <>
      {search.length > 0 && (
        <p class="faint">
          The pod's resolver searches <code>{search.join(" ")}</code>
          {ndots !== undefined && ` (ndots:${ndots})`}
        </p>
      )}
      <Lookups lookups={lookups} />
      {connections.length > 0 && <h2>Connections to what was answered</h2>}
      {connections.map((connection, index) => (
        <Connecting key={index} connection={connection} />
      ))}
      {Object.keys(rest).length > 0 && (
        <>
          <h2>What it stands on</h2>
          <Tree value={rest} />
        </>
      )}
    </>
  );
}

function toneOf(rcode: string | undefined, answers: number): Tone {
  if (rcode === "NOERROR") return answers ? "good" : "warn";
  return rcode === "NXDOMAIN" ? "quiet" : "bad";
}

export function Lookups({ lookups }: { lookups: Lookup[] }) {
  return (
    <ol class="way">
      {lookups.map((lookup, index) => (
        <Asked key={index} lookup={lookup} />
      ))}
    </ol>
  );
}

function Asked({ lookup }: { lookup: Lookup }) {
  const answers = lookup.answers ?? [];
  const by = [
    lookup.plugin && `by ${lookup.plugin}`,
    lookup.zone && `zone ${lookup.zone}`,
    lookup.server && `of ${lookup.server}`,
    lookup.tookMs !== undefined && `in ${milliseconds(lookup.tookMs)}`,
    lookup.truncated && "cut short",
  ].filter(Boolean);
  const errors = (lookup.extendedErrors ?? []).map((error) => `EDE ${error.code} ${error.text}`);
  return (
    <li>
      <p class="asked">
        <code>{lookup.name}</code>{" "}
        <Badge tone={lookup.error ? "bad" : toneOf(lookup.rcode, answers.length)}>
          {lookup.error ? "no answer" : lookup.rcode === "NOERROR" && !answers.length ? "NODATA" : lookup.rcode}
        </Badge>
        <span class="faint">{[...by, ...errors].join(", ")}</span>
      </p>
      {lookup.error && <p class="bad-text">{lookup.error}</p>}
      {lookup.why && <p>{lookup.why}</p>}
      {lookup.similar?.length ? <p class="faint">Perhaps meant: {lookup.similar.join(", ")}</p> : null}
      {lookup.steps?.length ? (
        <ul class="steps-said">
          {lookup.steps.map((step, index) => (
            <Step key={index} step={step} />
          ))}
        </ul>
      ) : null}
      {answers.length > 0 && <pre class="answers">{answers.join("\n")}</pre>}
      {lookup.objects?.length ? (
        <p class="faint">
          {"Of "}
          {lookup.objects.map(objectText).join(", ")}
        </p>
      ) : null}
      {lookup.service && (
        <details>
          <summary>The Service behind it</summary>
          <Tree value={lookup.service} />
        </details>
      )}
    </li>
  );
}

function objectText({ kind, namespace, name, resourceVersion }: ObjectReference): string {
  return `${kind} ${namespace}/${name}` + (resourceVersion ? ` (resourceVersion ${resourceVersion})` : "");
}

function Step({ step }: { step: StepSaid }) {
  const { plugin, at, zone, outcome, asks, tookMs, ...more } = step;
  const where = [at, zone && `zone ${zone}`, tookMs !== undefined && milliseconds(tookMs)].filter(Boolean);
  return (
    <li>
      <code>{plugin}</code> {outcome}
      {asks && (
        <>
          {" "}
          and asks <code>{asks}</code>
        </>
      )}
      <span class="faint"> {where.join(", ")}</span>
      {Object.keys(more).length > 0 && <Tree value={more} />}
    </li>
  );
}

const OUTCOME_TONES: Record<string, Tone> = { forwarded: "good", passed_through: "good", not_captured: "quiet" };

function Connecting({ connection }: { connection: Connection }) {
  const { endpoints, policy, choice } = connection;
  const port = connection.port === undefined ? "" : `:${connection.port}`;
  return (
    <section class="connection">
      <p class="asked">
        <code>
          {connection.address}
          {port}
        </code>{" "}
        {connection.protocol} {connection.service && <>of {connection.service} </>}
        <Badge tone={OUTCOME_TONES[connection.outcome ?? ""] ?? "bad"}>
          {connection.outcome}
        </Badge>
        {connection.says}
      </p>
      <p class="faint">
        {connection.captured !== undefined && `captured: ${connection.captured}. `}
        {policy && `Policy: ${policy.verdict}${policy.says ? ` (${policy.says})` : ""}. `}
        {choice && `Choice: ${choice.says ?? choice.how}`}
        {choice?.affinity && `, kept for ${choice.affinity.seconds} s`}
      </p>
      {endpoints && endpoints.length > 0 && (
        <table class="plain">
          <thead>
            <tr>
              <th>Endpoint</th>
              <th>Pod</th>
              <th>Node</th>
              <th>Zone</th>
              <th>Chosen next</th>
              <th>Why not</th>
              <th class="end">Open</th>
            </tr>
          </thead>
          <tbody>
            {endpoints.map((endpoint) => (
              <tr key={endpoint.address}>
                <td>
                  <code>{endpoint.address}</code>
                </td>
                <td>{endpoint.pod || "–"}</td>
                <td>{endpoint.node || "–"}</td>
                <td>{endpoint.zone || "–"}</td>
                <td>
                  <Badge tone={endpoint.eligible ? "good" : "quiet"}>{endpoint.next ?? (endpoint.eligible ? "one of" : "no")}</Badge>
                </td>
                <td>{endpoint.why ?? ""}</td>
                <td class="end">{count(endpoint.open)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {connection.more ? <p class="faint">and {count(connection.more)} more endpoints</p> : null}
    </section>
  );
}

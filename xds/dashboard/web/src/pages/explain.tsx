// Pod and name in, the whole way out.
import { useEffect, useState } from "preact/hooks";
import { useAnswer } from "../api/use_answer";
import type { DnsRecord, Explanation, Ingress, SidecarsPage } from "../api/types";
import { Badge, Pending, Replicas } from "../components/common";
import { Lookups, WayOut } from "../components/way_out";
import { readExplained } from "../lib/explained";
import { count } from "../lib/format";
import { change, link, route } from "../lib/route";
import { useStore } from "../lib/store";

const SIDES: Record<string, string> = { controlPlane: "control plane", clusterDns: "cluster DNS" };
const TYPES = ["A", "AAAA", "SRV", "PTR", "CNAME", "TXT", "MX", "HTTPS"];

export function ExplainPage() {
  const { query } = useStore(route);
  const { pod, name, type = "A", clusterDns } = query;
  const answer = useAnswer<Explanation>(pod && name ? "explain" : null, { pod, name, type, clusterDns });
  return (
    <>
      <div class="title">
        <h1>Explain</h1>
        <p>What becomes of a name that a pod looks up, and of the connection it makes then</p>
      </div>
      <Form again={answer.again} />
      {pod && name && (
        <>
          <Replicas replicas={answer.data?.replicas} />
          <Pending of={answer} what={`${name} for ${pod}`} />
          {answer.data && <Result of={answer.data} />}
        </>
      )}
    </>
  );
}

interface Given {
  pod: string;
  name: string;
  type: string;
  clusterDns: boolean;
}

function Form({ again }: { again(): void }) {
  const { query } = useStore(route);
  const { pod = "", name = "", type = "A", clusterDns } = query;
  const asked: Given = { pod, name, type, clusterDns: clusterDns === "true" };
  const [given, setGiven] = useState(asked);
  // Where one goes by a link the form follows.
  useEffect(() => setGiven(asked), [pod, name, type, clusterDns]);
  const give = (part: Partial<Given>) => setGiven({ ...given, ...part });
  const [search, setSearch] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setSearch(given.pod), 150);
    return () => clearTimeout(timer);
  }, [given.pod]);
  const pods = useAnswer<SidecarsPage>("sidecars", { search, sort: "node", limit: "20" });
  return (
    <form
      class="form"
      onSubmit={(event) => {
        event.preventDefault();
        const before = JSON.stringify(route.get().query);
        change({
          pod: given.pod.trim(),
          name: given.name.trim(),
          type: given.type === "A" ? undefined : given.type,
          clusterDns: given.clusterDns ? "true" : undefined,
        });
        if (JSON.stringify(route.get().query) === before) again();
      }}
    >
      <label class="field">
        Pod (namespace/name)
        <input
          type="text"
          name="pod"
          list="pods"
          required
          pattern="[^\/]+\/[^\/]+"
          spellcheck={false}
          autocomplete="off"
          value={given.pod}
          onInput={(event) => give({ pod: event.currentTarget.value })}
        />
      </label>
      <datalist id="pods">
        {pods.data?.sidecars.map((sidecar) => <option key={sidecar.node} value={sidecar.node} />)}
      </datalist>
      <label class="field">
        Name, as the application gives it
        <input
          type="text"
          name="name"
          required
          spellcheck={false}
          autocomplete="off"
          value={given.name}
          onInput={(event) => give({ name: event.currentTarget.value })}
        />
      </label>
      <label class="field">
        Type
        <select name="type" value={given.type} onChange={(event) => give({ type: event.currentTarget.value })}>
          {TYPES.map((word) => (
            <option key={word}>{word}</option>
          ))}
        </select>
      </label>
      <label>
        <input
          type="checkbox"
          name="clusterDns"
          checked={given.clusterDns}
          onChange={(event) => give({ clusterDns: event.currentTarget.checked })}
        />{" "}
        Ask the cluster DNS too
      </label>
      <button type="submit" class="main">
        Explain
      </button>
    </form>
  );
}

function Result({ of }: { of: Explanation }) {
  const explained = readExplained(of.sidecar);
  const differences = of.differences ?? [];
  const found = of.controlPlane?.name;
  const known = (of.controlPlane?.lookups ?? []).map((lookup) => ({ ...lookup, answers: lookup.answers.map(line) }));
  return (
    <>
      {differences.length ? (
        <section class="notice warn" aria-label="Differences">
          <b>They differ:</b>
          <ul>
            {differences.map((difference, index) => (
              <li key={index}>
                {difference.between.map((side) => SIDES[side] ?? side).join(" and ")}: {difference.what}. <i>{difference.likely}</i>
              </li>
            ))}
          </ul>
        </section>
      ) : (
        !explained.error && <p class="notice quiet">All that were asked agree.</p>
      )}
      <h2>What the sidecar did</h2>
      {explained.error ? (
        <p class="notice bad" role="alert">
          The sidecar says nothing: {explained.error}
        </p>
      ) : (
        <WayOut explained={explained} />
      )}
      {of.ingress && of.ingress.length > 0 && <LetIn ingress={of.ingress} />}
      <h2>
        What the control plane knows{" "}
        {of.controlPlane && <span class="faint">generation {count(of.controlPlane.generation)}</span>}
      </h2>
      {found && (
        <p>
          <a href={link(["names", ...found.split("/")])}>{found}</a>
        </p>
      )}
      <Lookups lookups={known} />
      {!known.length && <p class="faint">Nothing of these names: they are not the cluster's.</p>}
      {of.clusterDns && (
        <>
          <h2>
            What the cluster DNS says <span class="faint">{listOf(of.clusterDns["servers"]).join(" ")}</span>
          </h2>
          <Lookups lookups={readExplained(of.clusterDns).lookups} />
        </>
      )}
    </>
  );
}

function LetIn({ ingress }: { ingress: Ingress[] }) {
  return (
    <>
      <h2>Whether those it is led to let it in</h2>
      <table class="plain">
        <thead>
          <tr>
            <th>At</th>
            <th>Pod</th>
            <th>Ingress policy</th>
            <th>In force</th>
            <th>Why</th>
          </tr>
        </thead>
        <tbody>
          {ingress.map((one) => (
            <tr key={`${one.at} ${one.protocol}`}>
              <td>
                <code>{one.at}</code> {one.protocol}
              </td>
              <td>{one.pod}</td>
              <td>
                <Badge tone={one.verdict === "denied" ? "bad" : one.audited ? "warn" : "good"}>{one.verdict}</Badge>
              </td>
              <td>{one.inForce === undefined ? "not known here" : one.inForce ? "yes" : "no"}</td>
              <td>
                {one.says}
                {one.nearest && <span class="faint"> (nearest: {one.nearest})</span>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

function listOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function line(record: DnsRecord): string {
  return `${record.name} ${record.ttl} IN ${record.type} ${record.data}`;
}

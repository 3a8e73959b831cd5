// Who talks to what, drawn: callers left, what they call right, a line for each pair; wider for more
// bytes, dashed where connections failed. Every node can be reached by Tab: its lines stand out then.
import { useMemo, useState } from "preact/hooks";
import type { FlowEdge, FlowsPage } from "../api/types";
import { bytes, count, plural } from "../lib/format";
import { layOut, type Placed } from "../lib/layout";
import { link } from "../lib/route";

const LINE = 28;
const TOP = 16;
const WIDTH = 900;
const LEFT = 300; // where the left labels end
const RIGHT = 600; // where the right ones begin

const KIND: Record<string, string> = { workload: "workload", service: "Service", pod: "pod", external: "address" };

export function Graph({ flows }: { flows: FlowsPage }) {
  const drawing = useMemo(() => layOut(flows.nodes, flows.edges), [flows]);
  const [chosen, setChosen] = useState<string | null>(null);
  const { left, right, at, edges } = drawing;
  const lines = Math.max(left.length, right.length, 1);
  const height = lines * LINE + 2 * TOP;
  // The shorter column stands in the middle of the longer one.
  const y = (placed: Placed) => {
    const mine = placed.side === "left" ? left.length : right.length;
    return TOP + (placed.place + 0.5 + (lines - mine) / 2) * LINE;
  };
  const touches = (edge: FlowEdge) => chosen === `left ${edge.from}` || chosen === `right ${edge.to}`;
  const weights = edges.map((edge) => Math.log1p(weightOf(edge)));
  const least = Math.min(...weights);
  const range = Math.max(...weights) - least || 1;
  return (
    <div class="graph">
      <svg viewBox={`0 0 ${WIDTH} ${height}`} width={WIDTH} height={height} role="group" aria-label="Who talks to what">
        <g class={chosen ? "edges some" : "edges"}>
          {edges.map((edge, index) => {
            const from = y(at.get(`left ${edge.from}`)!);
            const to = y(at.get(`right ${edge.to}`)!);
            const middle = (LEFT + RIGHT) / 2;
            return (
              <path
                key={`${edge.from} ${edge.to}`}
                class={(touches(edge) ? "on" : "") + (edge.failures ? " failing" : "")}
                d={`M${LEFT + 8} ${from} C${middle} ${from} ${middle} ${to} ${RIGHT - 8} ${to}`}
                stroke-width={1 + (4 * (weights[index]! - least)) / range}
              >
                <title>{saysOf(edge)}</title>
              </path>
            );
          })}
        </g>
        {[...left, ...right].map((placed) => (
          <Node key={`${placed.side} ${placed.node.id}`} placed={placed} y={y(placed)} edges={edges} choose={setChosen} />
        ))}
      </svg>
    </div>
  );
}

function weightOf(edge: FlowEdge): number {
  return edge.bytesUp + edge.bytesDown;
}

function saysOf(edge: FlowEdge): string {
  const failures = edge.failures ? `, ${count(edge.failures)} failed` : "";
  return `${edge.from} → ${edge.to}: ${plural(edge.connections, "connection")}${failures}, ${bytes(weightOf(edge))}`;
}

interface NodeProps {
  placed: Placed;
  y: number;
  edges: FlowEdge[];
  choose(id: string | null): void;
}

function Node({ placed, y, edges, choose }: NodeProps) {
  const { node, side } = placed;
  const id = `${side} ${node.id}`;
  const mine = edges.filter((edge) => (side === "left" ? edge.from : edge.to) === node.id);
  const says =
    `${KIND[node.kind] ?? node.kind} ${node.namespace ? node.namespace + "/" : ""}${node.name}: ` +
    mine.map(saysOf).join("; ");
  const shape = side === "left" ? LEFT : RIGHT;
  const content = (
    <>
      <title>{says}</title>
      <rect
        x={shape - 5}
        y={y - 5}
        width={10}
        height={10}
        rx={node.kind === "service" ? 1 : 5}
        class={`node ${node.kind}`}
      />
      <text x={side === "left" ? shape - 12 : shape + 12} y={y + 4} text-anchor={side === "left" ? "end" : "start"}>
        <tspan class="namespace">{node.namespace ? `${node.namespace}/` : ""}</tspan>
        {node.name.length > 34 ? node.name.slice(0, 33) + "…" : node.name}
        {node.sidecars && node.sidecars > 1 ? <tspan class="namespace"> ×{node.sidecars}</tspan> : null}
      </text>
    </>
  );
  const handlers = {
    onFocus: () => choose(id),
    onBlur: () => choose(null),
    onMouseEnter: () => choose(id),
    onMouseLeave: () => choose(null),
  };
  if (node.kind === "service" && node.namespace) {
    return (
      <a href={link(["names", node.namespace, node.name])} aria-label={says} {...handlers}>
        {content}
      </a>
    );
  }
  return (
    <g tabIndex={0} role="img" aria-label={says} {...handlers}>
      {content}
    </g>
  );
}

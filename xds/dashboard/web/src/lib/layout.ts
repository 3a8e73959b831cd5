// Places for a graph in two columns: who calls on the left, what is called on the right. Neighbours are
// drawn near each other: each column is put in the order of the middle of what its nodes lead to, a few
// times in turn (the barycentre method of Sugiyama, Tagawa and Toda, 1981).
import type { FlowEdge, FlowNode } from "../api/types";

export interface Placed {
  node: FlowNode;
  side: "left" | "right";
  place: number; // from above, 0 first
}

export interface Drawing {
  left: Placed[];
  right: Placed[];
  at: Map<string, Placed>;
  edges: FlowEdge[]; // both ends are there
}

const ROUNDS = 6;

export function layOut(nodes: FlowNode[], edges: FlowEdge[]): Drawing {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const kept = edges.filter((edge) => byId.has(edge.from) && byId.has(edge.to));
  const ends = new Map<string, string[]>();
  const join = (a: string, b: string) => ends.set(a, [...(ends.get(a) ?? []), b]);
  // Who calls is to the left, even if it is called as well: then it stands on both sides.
  const leftIds = new Set(kept.map((edge) => edge.from));
  const rightIds = new Set(kept.map((edge) => edge.to));
  for (const edge of kept) {
    join("left " + edge.from, edge.to);
    join("right " + edge.to, edge.from);
  }
  let left = [...leftIds].sort();
  let right = [...rightIds].sort();
  for (let round = 0; round < ROUNDS; round++) {
    right = inOrder(right, left, (id) => ends.get("right " + id) ?? []);
    left = inOrder(left, right, (id) => ends.get("left " + id) ?? []);
  }
  const at = new Map<string, Placed>();
  const put = (side: "left" | "right") => (id: string, place: number) => {
    const placed: Placed = { node: byId.get(id)!, side, place };
    at.set(`${side} ${id}`, placed);
    return placed;
  };
  return { left: left.map(put("left")), right: right.map(put("right")), at, edges: kept };
}

function inOrder(ids: string[], others: string[], endsOf: (id: string) => string[]): string[] {
  const place = new Map(others.map((id, index) => [id, index]));
  const middle = new Map(
    ids.map((id) => {
      const ends = endsOf(id);
      return [id, ends.reduce((sum, end) => sum + (place.get(end) ?? 0), 0) / Math.max(1, ends.length)];
    }),
  );
  return [...ids].sort((a, b) => middle.get(a)! - middle.get(b)! || (a < b ? -1 : 1));
}

// The API's answers, as /api/v1/openapi.json says.

export type Time = string | null;

export interface Replica {
  name: string;
  self?: boolean;
  error?: string;
}

export interface Replicated {
  replicas?: Replica[];
}

export interface Status extends Replicated {
  program: string;
  version: string;
  replica: string;
  source: string;
  ready: boolean;
  generation: number;
  clusterDomain: string;
  services: number;
  endpoints: number;
  namespaces: number;
  sidecars: number;
  historySince: Time;
  now: string;
}

export interface Port {
  name: string;
  protocol: string;
  port: number;
}

export interface EndpointCounts {
  ready: number;
  serving: number;
  terminating: number;
}

export interface Warning {
  code: string;
  message: string;
}

export interface AskedBy {
  pods: number;
  queries: number;
  lastAsked: Time;
  byPod?: { node: string; queries: number; lastAsked: Time }[];
}

export interface Name {
  namespace: string;
  name: string;
  dnsName: string;
  type: string;
  headless: boolean;
  clusterIPs: string[];
  externalName?: string;
  ports: Port[];
  endpoints: EndpointCounts | null;
  labels?: Record<string, string>;
  hostnames?: number;
  lastChange?: Time;
  warnings?: Warning[];
  askedBy?: AskedBy | null;
}

export interface NamesPage extends Replicated {
  generation: number;
  total: number;
  names: Name[];
}

export interface Endpoint {
  addresses: string[];
  conditions: { ready: boolean; serving: boolean; terminating: boolean };
  hostname?: string;
  nodeName?: string;
  zone?: string;
  zoneHints?: string[];
  nodeHints?: string[];
  pod?: string;
}

export interface EndpointSlice {
  name: string;
  addressType: string;
  ports: Port[];
  endpoints: Endpoint[];
  resourceVersion: string;
  arrived: Time;
}

export interface DnsRecord {
  name: string;
  type: string;
  ttl: number;
  data: string;
}

export interface ObjectReference {
  kind: string;
  namespace: string;
  name: string;
  resourceVersion: string;
  arrived?: Time;
}

export interface NameDetail extends Name, Replicated {
  externalIPs?: string[];
  loadBalancerIPs?: string[];
  publishNotReadyAddresses?: boolean;
  sessionAffinity?: string;
  sessionAffinityTimeoutSeconds?: number;
  internalTrafficPolicy?: string;
  trafficDistribution?: string;
  endpointSlices: EndpointSlice[] | null;
  records?: DnsRecord[];
  recordsTruncated?: boolean;
  noRecords?: { name: string; type: string; answer: string; why: string }[];
  objects?: ObjectReference[];
  at?: string;
  entry?: HistoryEntry | null;
}

export interface HistoryEntry {
  time: string;
  namespace: string;
  name: string;
  cause: string;
  summary: string;
  object?: ObjectReference | null;
  endpoints?: EndpointCounts | null;
  added?: string[];
  removed?: string[];
  changed?: { address: string; pod?: string; from: string; to: string }[];
  more?: number;
}

export interface HistoryPage extends Replicated {
  entries: HistoryEntry[];
  continue?: string;
  since: Time;
}

export interface SidecarType {
  type: string;
  status: string;
  wildcard: boolean;
  subscribedNames: number;
  sentGeneration: number;
  acknowledgedGeneration: number;
  lastSent: Time;
  lastAcknowledged: Time;
  lagMs: number;
  lastPropagationMs: number;
  nacks: number;
  lastNack?: string;
}

export interface SidecarReport {
  received: Time;
  started: Time;
  feed: {
    inSync: boolean;
    source: string;
    lastSync?: Time;
    types: { typeUrl: string; synced: boolean; held: number; nacks: number; lastNack?: string }[];
  };
  dns: {
    queries: number;
    responses: Record<string, number>;
    cacheHits: number;
    cacheMisses: number;
    upstreams: { address: string; down: boolean; answers: number; failures: number; failedProbes: number }[];
  };
  forwarder: {
    connections: number;
    failures: number;
    active: number;
    bytesUp: number;
    bytesDown: number;
    udpFlows: number;
  };
  endpoints: { held: number; wanted: number };
  policy?: {
    known: boolean;
    partlyEnforced: boolean;
    denied: number;
    audited: number;
    policies?: string[]; // of one sidecar alone
    otherPolicies?: number;
  };
}

export interface Sidecar {
  node: string;
  version: string;
  peer: string;
  connected: Time;
  types: SidecarType[];
  report?: SidecarReport | null;
  rates?: {
    queriesPerSecond: number;
    nxdomainPerSecond: number;
    cacheHitRatio: number | null;
    connectionsPerSecond: number;
  } | null;
  lag?: { p50Ms: number | null; p99Ms: number | null; worstType?: string | null } | null;
  health?: string;
  healthWhy?: string;
  replica?: string;
}

export interface SidecarsPage extends Replicated {
  sidecars: Sidecar[];
  continue?: string;
}

// What ingress policies say of the client where it is led to; `inForce`: where this replica knows.
export interface Ingress {
  at: string;
  protocol: string;
  pod: string;
  verdict: "allowed" | "denied";
  audited: boolean;
  says: string;
  nearest?: string;
  inForce?: boolean;
}

export interface Explanation extends Replicated {
  pod: string;
  name: string;
  type: string;
  sidecar?: Record<string, unknown> | null;
  controlPlane?: {
    generation: number;
    name?: string | null;
    lookups?: { name: string; rcode: string; answers: DnsRecord[] }[];
  } | null;
  ingress?: Ingress[];
  clusterDns?: Record<string, unknown> | null;
  differences?: { between: string[]; what: string; likely: string }[];
}

export interface FlowNode {
  id: string;
  kind: "workload" | "service" | "pod" | "external";
  namespace?: string;
  name: string;
  sidecars?: number;
}

export interface FlowEdge {
  from: string;
  to: string;
  connections: number;
  failures: number;
  bytesUp: number;
  bytesDown: number;
  udpFlows: number;
  lastSeen: Time;
}

export interface FlowsPage extends Replicated {
  nodes: FlowNode[];
  edges: FlowEdge[];
  more?: number;
}

export interface Amplifier {
  node: string;
  workload: string;
  queries: number;
  searchListQueries: number;
  nxdomain: number;
  upstreamQueries: number;
  wastedPerSecond: number | null;
  wastedRatio: number | null;
  savedByAutopath: number;
  savedByTrailingDot: number;
  names: { name: string; queries: number; nxdomain: number; advice: string }[];
}

export interface AmplifiersPage extends Replicated {
  amplifiers: Amplifier[];
}

// One kind of denial of one sidecar. With a name, an address and its port, or a Service and an endpoint of it.
export interface Denial {
  node: string;
  workload: string | null;
  what: "connection" | "flow" | "name" | "dns" | "inbound" | "server_name" | "unknown";
  mode: "enforced" | "audit";
  name: string;
  address: string;
  port: number;
  policies: string; // empty: none were known yet
  nearest: string; // empty: no rule came near
  count: number;
  last: Time;
}

export interface DenialsPage extends Replicated {
  denials: Denial[];
  continue?: string;
}

export interface ChangeEvent {
  generation: number;
  names?: string[]; // "namespace/name"
  many?: true;
}

export interface SidecarsEvent {
  reported?: string[]; // "namespace/pod"
  many?: true;
}

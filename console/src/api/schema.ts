/**
 * The shapes the console reads from the server, under the names its pages use.
 *
 * Times are nanoseconds: absolute ones are decimal strings (they do not fit a double), differences are numbers.
 */

export interface ComponentStatus {
  name: string;
  status: string;
  reason: string;
  since: string;
}

export interface Listener {
  name: string;
  protocol: string;
  address: string;
  url: string;
  purpose: string;
}

export interface CapabilityInfo {
  name: string;
  title: string;
  plane: string;
  summary: string;
}

export interface ServerStatus {
  version: string;
  started: string;
  uptimeSeconds: number;
  status: string;
  ephemeral: boolean;
  dataDir: string;
  components: ComponentStatus[];
  listeners: Listener[];
  capabilities: CapabilityInfo[];
  store: { spans: number; bytes: number; segments: number; oldest: string | null; newest: string | null };
}

export interface ServiceSeen {
  name: string;
  lastSeen: string;
}

export interface OperationSeen {
  name: string;
  kind: number;
  lastSeen: string;
}

export interface TraceSummary {
  traceId: string;
  rootService: string;
  rootOperation: string;
  start: string;
  durationNs: number;
  spanCount: number;
  errorCount: number;
  orphanCount: number;
  services: { name: string; spanCount: number; errorCount: number }[];
}

export interface SearchPage {
  traces: TraceSummary[];
  next: string | null;
  warnings: string[];
}

export interface AttributeKey {
  key: string;
  level: string;
  types: string[];
  count: number;
}

export interface AttributeValue {
  value: string;
  type: string;
  count: number;
}

export type AttributeType = "string" | "bool" | "int" | "double" | "bytes" | "array" | "kvlist" | "empty";

/** An OTLP value: ints are decimal strings, bytes base64, doubles numbers or "NaN", "Infinity", "-Infinity". */
export interface TypedValue {
  type: AttributeType;
  value: unknown;
}

export interface Attribute extends TypedValue {
  key: string;
}

export interface TraceResource {
  service: string;
  attributes: Attribute[];
  schemaUrl: string;
}

export interface TraceScope {
  name: string;
  version: string;
  attributes: Attribute[];
  schemaUrl: string;
}

/** Parallel arrays, one entry a span, in display order: depth first, siblings by start. */
export interface SpanColumns {
  spanId: string[];
  /** Index of the parent in these same arrays, -1 for a root and for a span whose parent was not received. */
  parent: number[];
  orphan: boolean[];
  name: number[];
  resource: number[];
  scope: number[];
  kind: number[];
  /** Nanoseconds after the start of the trace. */
  start: number[];
  duration: number[];
  status: number[];
  events: number[];
  links: number[];
  attributes: number[];
}

export interface ColumnarTrace {
  traceId: string;
  start: string;
  durationNs: number;
  spanCount: number;
  truncated: boolean;
  warnings: string[];
  resources: TraceResource[];
  scopes: TraceScope[];
  names: string[];
  spans: SpanColumns;
}

export interface SpanEvent {
  name: string;
  timeUnixNano: string;
  attributes: Attribute[];
  droppedAttributesCount: number;
}

export interface SpanLink {
  traceId: string;
  spanId: string;
  traceState: string;
  flags: number;
  attributes: Attribute[];
  droppedAttributesCount: number;
}

export interface SpanDetail {
  traceId: string;
  spanId: string;
  parentSpanId: string;
  name: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  status: number;
  statusMessage: string;
  traceState: string;
  flags: number;
  attributes: Attribute[];
  droppedAttributesCount: number;
  events: SpanEvent[];
  droppedEventsCount: number;
  links: SpanLink[];
  droppedLinksCount: number;
  resource: TraceResource;
  scope: TraceScope;
  warnings: string[];
}

/** RFC 9457 problem details, with the members Pilothouse adds. */
export interface Problem {
  type?: string;
  title: string;
  status: number;
  detail?: string;
  where?: string | null;
  remedy?: string | null;
  request_id?: string;
}

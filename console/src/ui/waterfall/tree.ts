/**
 * A trace as a forest in flat arrays, and the questions a waterfall asks of it.
 *
 * Spans keep the server's order (depth first, siblings by start), so a subtree is a range of indices and folding is a
 * jump. Nothing here makes an object per span: 50,000 of them must lay out within a frame.
 */

import type { ColumnarTrace } from "../../api/schema";

export interface SpanTree {
  trace: ColumnarTrace;
  count: number;
  /** Length of the trace in ns, at least 1. */
  length: number;
  depth: Int32Array;
  parent: Int32Array;
  /** First index after the span's subtree. */
  end: Int32Array;
  start: Float64Array;
  duration: Float64Array;
  error: Uint8Array;
  /** Spans with an error below this one, itself not counted. */
  errorsBelow: Int32Array;
  /** Index into `services`. */
  service: Int32Array;
  services: string[];
  maxDepth: number;
}

export function buildTree(trace: ColumnarTrace): SpanTree {
  const { spans } = trace;
  const count = spans.spanId.length;
  const services: string[] = [];
  const serviceOf = trace.resources.map(({ service }) => {
    const known = services.indexOf(service);
    return known >= 0 ? known : services.push(service) - 1;
  });
  const tree: SpanTree = {
    trace,
    count,
    length: Math.max(1, trace.durationNs),
    depth: new Int32Array(count),
    parent: new Int32Array(count).fill(-1),
    end: new Int32Array(count).fill(count),
    start: Float64Array.from(spans.start),
    duration: Float64Array.from(spans.duration),
    error: Uint8Array.from(spans.status, (status) => (status === 2 ? 1 : 0)),
    errorsBelow: new Int32Array(count),
    service: Int32Array.from(spans.resource, (resource) => serviceOf[resource] ?? 0),
    services,
    maxDepth: 0,
  };
  nest(tree, spans.parent);
  for (let index = count - 1; index >= 0; index -= 1) {
    const parent = tree.parent[index] ?? -1;
    if (parent >= 0) {
      tree.errorsBelow[parent] =
        (tree.errorsBelow[parent] ?? 0) + (tree.errorsBelow[index] ?? 0) + (tree.error[index] ?? 0);
    }
  }
  return tree;
}

/** Fills depth, parent and end. A parent that is not among the open ancestors makes its span a root: order is the truth. */
function nest(tree: SpanTree, parents: number[]): void {
  const open: number[] = [];
  for (let index = 0; index < tree.count; index += 1) {
    const parent = parents[index] ?? -1;
    while (open.length > 0 && open[open.length - 1] !== parent) tree.end[open.pop() ?? 0] = index;
    tree.depth[index] = open.length;
    tree.parent[index] = open.length > 0 ? parent : -1;
    tree.maxDepth = Math.max(tree.maxDepth, open.length);
    open.push(index);
  }
}

export function hasChildren(tree: SpanTree, index: number): boolean {
  return (tree.end[index] ?? 0) > index + 1;
}

/** The spans that show when those in `folded` hide their descendants. */
export function visibleRows(tree: SpanTree, folded: ReadonlySet<number>): Int32Array {
  const rows = new Int32Array(tree.count);
  let length = 0;
  for (let index = 0; index < tree.count;) {
    rows[length] = index;
    length += 1;
    index = folded.has(index) ? (tree.end[index] ?? tree.count) : index + 1;
  }
  return rows.subarray(0, length);
}

/** Every span at `depth` that has children: folding them shows the trace to that depth. */
export function foldedAtDepth(tree: SpanTree, depth: number): Set<number> {
  const folded = new Set<number>();
  for (let index = 0; index < tree.count; index += 1) {
    if ((tree.depth[index] ?? 0) >= depth && hasChildren(tree, index)) folded.add(index);
  }
  return folded;
}

/** The row a span shows in, or that of its nearest visible ancestor. Rows are ascending, so this is a binary search. */
export function rowOf(rows: Int32Array, index: number): number {
  let low = 0;
  let high = rows.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((rows[middle] ?? 0) <= index) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The nearest `limit` ancestors, outermost first. */
export function ancestors(tree: SpanTree, index: number, limit = Number.POSITIVE_INFINITY): number[] {
  const chain: number[] = [];
  for (let at = tree.parent[index] ?? -1; at >= 0 && chain.length < limit; at = tree.parent[at] ?? -1) chain.push(at);
  return chain.reverse();
}

/** The ancestors to pin above the scrolled rows: outermost first, the innermost `limit` of them. */
export function stickyAncestors(tree: SpanTree, rows: Int32Array, topRow: number, limit: number): number[] {
  let pinned: number[] = [];
  // Each pinned row covers one more, so look at the row that is really the first to be seen.
  for (let covered = 0; covered <= limit; covered += 1) {
    const first = rows[Math.min(rows.length - 1, topRow + covered)];
    if (first === undefined) return [];
    pinned = ancestors(tree, first, limit);
    if (pinned.length <= covered) break;
  }
  return pinned;
}

/** Indices of the spans whose operation, service or id contains the text, in display order. */
export function findSpans(tree: SpanTree, text: string): Int32Array {
  const needle = text.trim().toLowerCase();
  if (needle === "") return new Int32Array(0);
  const { names, spans } = tree.trace;
  const nameHit = names.map((name) => name.toLowerCase().includes(needle));
  const serviceHit = tree.services.map((name) => name.toLowerCase().includes(needle));
  const idLike = /^[0-9a-f]{4,16}$/.test(needle);
  const hits: number[] = [];
  for (let index = 0; index < tree.count; index += 1) {
    if (
      nameHit[spans.name[index] ?? 0] ||
      serviceHit[tree.service[index] ?? 0] ||
      (idLike && spans.spanId[index]?.startsWith(needle))
    ) {
      hits.push(index);
    }
  }
  return Int32Array.from(hits);
}

/** The next (or previous) entry of ascending `hits` after `from`, going round. -1 when there is none. */
export function nextHit(hits: Int32Array, from: number, step: 1 | -1): number {
  if (hits.length === 0) return -1;
  if (step === 1) return hits.find((hit) => hit > from) ?? hits[0] ?? -1;
  return hits.findLast((hit) => hit < from) ?? hits[hits.length - 1] ?? -1;
}

/** Indices of the spans with an error. */
export function errorSpans(tree: SpanTree): Int32Array {
  const hits: number[] = [];
  for (let index = 0; index < tree.count; index += 1) if (tree.error[index]) hits.push(index);
  return Int32Array.from(hits);
}

/** A window of time inside the trace, ns offsets. */
export interface View {
  from: number;
  to: number;
}

/** Where a bar goes, in percent of the window, kept near it so that no bar is a million pixels wide. */
export function barExtent(start: number, duration: number, view: View): { left: number; width: number } {
  const scale = 100 / (view.to - view.from);
  const left = Math.max(-2, Math.min(102, (start - view.from) * scale));
  const right = Math.max(-2, Math.min(102, (start + duration - view.from) * scale));
  return { left, width: Math.max(0, right - left) };
}

/** Moves and scales a window within the trace. `factor` below one zooms in around `centre`. */
export function zoomView(view: View, length: number, factor: number, centre = (view.from + view.to) / 2): View {
  const size = Math.min(length, Math.max(Math.min(length, 100), (view.to - view.from) * factor));
  const share = (centre - view.from) / (view.to - view.from);
  return panView({ from: centre - size * share, to: centre + size * (1 - share) }, length, 0);
}

export function panView(view: View, length: number, by: number): View {
  const size = view.to - view.from;
  const from = Math.max(0, Math.min(length - size, view.from + by));
  return { from, to: from + size };
}

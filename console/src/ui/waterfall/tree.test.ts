import { describe, expect, it } from "vitest";
import type { ColumnarTrace } from "../../api/schema";
import {
  barExtent,
  buildTree,
  errorSpans,
  findSpans,
  foldedAtDepth,
  nextHit,
  panView,
  rowOf,
  stickyAncestors,
  visibleRows,
  zoomView,
} from "./tree";

/** A trace from its parent column; span `n` starts at n and lasts 10 ns. */
function traceOf(parent: number[], status: number[] = []): ColumnarTrace {
  const zeros = parent.map(() => 0);
  return {
    traceId: "0".repeat(32),
    start: "1700000000000000000",
    durationNs: parent.length + 10,
    spanCount: parent.length,
    truncated: false,
    warnings: [],
    resources: [
      { service: "front", attributes: [], schemaUrl: "" },
      { service: "back", attributes: [], schemaUrl: "" },
      { service: "front", attributes: [], schemaUrl: "" },
    ],
    scopes: [{ name: "", version: "", attributes: [], schemaUrl: "" }],
    names: ["GET /", "query 🦊"],
    spans: {
      spanId: parent.map((_, index) => index.toString(16).padStart(16, "a")),
      parent,
      orphan: parent.map(() => false),
      name: parent.map((_, index) => index % 2),
      resource: parent.map((_, index) => index % 3),
      scope: zeros,
      kind: zeros,
      start: parent.map((_, index) => index),
      duration: parent.map(() => 10),
      status: parent.map((_, index) => status[index] ?? 0),
      events: zeros,
      links: zeros,
      attributes: zeros,
    },
  };
}

// 0 ─ 1 ─ 2, 3 ; 0 ─ 4 ; 5 (second root) ─ 6
const SHAPE = [-1, 0, 1, 1, 0, -1, 5];

describe("buildTree", () => {
  it("knows depth and where each subtree ends", () => {
    const tree = buildTree(traceOf(SHAPE));
    expect([...tree.depth]).toEqual([0, 1, 2, 2, 1, 0, 1]);
    expect([...tree.end]).toEqual([5, 4, 3, 4, 5, 7, 7]);
    expect(tree.maxDepth).toBe(2);
  });
  it("counts errors below", () => {
    const tree = buildTree(traceOf(SHAPE, [0, 0, 2, 2, 0, 2, 0]));
    expect([...tree.errorsBelow]).toEqual([2, 2, 0, 0, 0, 0, 0]);
    expect([...errorSpans(tree)]).toEqual([2, 3, 5]);
  });
  it("merges resources of one service", () => {
    expect(buildTree(traceOf(SHAPE)).services).toEqual(["front", "back"]);
  });
  it.each([
    ["a parent after its child", [1, -1]],
    ["a parent outside the trace", [-1, 99, -7]],
    ["itself", [0, 1, 2]],
    ["nothing at all", []],
  ])("survives a parent that is %s", (_, parent) => {
    const tree = buildTree(traceOf(parent));
    expect(visibleRows(tree, new Set()).length).toBe(parent.length);
    expect([...tree.depth].every((depth) => depth >= 0)).toBe(true);
  });
  it("lays out a chain of 50,000", () => {
    const tree = buildTree(traceOf(Array.from({ length: 50_000 }, (_, index) => index - 1)));
    expect(tree.maxDepth).toBe(49_999);
    expect(visibleRows(tree, new Set([10])).length).toBe(11);
    expect(stickyAncestors(tree, visibleRows(tree, new Set()), 40_000, 3)).toEqual([40_000, 40_001, 40_002]);
  });
});

describe("folding", () => {
  const tree = buildTree(traceOf(SHAPE));
  it("hides descendants only", () => {
    expect([...visibleRows(tree, new Set([1]))]).toEqual([0, 1, 4, 5, 6]);
    expect([...visibleRows(tree, new Set([0, 5]))]).toEqual([0, 5]);
  });
  it("shows a trace to a depth", () => {
    expect([...visibleRows(tree, foldedAtDepth(tree, 1))]).toEqual([0, 1, 4, 5, 6]);
  });
  it("finds the row of a hidden span at its nearest visible ancestor", () => {
    const rows = visibleRows(tree, new Set([1]));
    expect(rowOf(rows, 3)).toBe(1);
    expect(rowOf(rows, 4)).toBe(2);
  });
  it("pins the ancestors that scrolled away", () => {
    const rows = visibleRows(tree, new Set());
    expect(stickyAncestors(tree, rows, 0, 3)).toEqual([]);
    expect(stickyAncestors(tree, rows, 2, 3)).toEqual([0]);
    expect(stickyAncestors(tree, rows, 6, 3)).toEqual([5]);
  });
});

describe("search within", () => {
  const tree = buildTree(traceOf(SHAPE));
  it("looks at operations, services and ids, whatever the case", () => {
    expect([...findSpans(tree, "QUERY 🦊")]).toEqual([1, 3, 5]);
    expect([...findSpans(tree, "back")]).toEqual([1, 4]);
    expect([...findSpans(tree, "aaaaaaaaaaaaaaa6")]).toEqual([6]);
    expect([...findSpans(tree, " ")]).toEqual([]);
  });
  it("goes round in both directions", () => {
    const hits = Int32Array.of(1, 3, 5);
    expect(nextHit(hits, 3, 1)).toBe(5);
    expect(nextHit(hits, 5, 1)).toBe(1);
    expect(nextHit(hits, 1, -1)).toBe(5);
    expect(nextHit(new Int32Array(0), 0, 1)).toBe(-1);
  });
});

describe("the window of time", () => {
  it("places bars, clamped near the window", () => {
    expect(barExtent(25, 50, { from: 0, to: 100 })).toEqual({ left: 25, width: 50 });
    expect(barExtent(0, 1e12, { from: 0, to: 100 })).toEqual({ left: 0, width: 102 });
  });
  it("zooms around a point and stays inside the trace", () => {
    expect(zoomView({ from: 0, to: 1000 }, 1000, 0.5, 0)).toEqual({ from: 0, to: 500 });
    expect(zoomView({ from: 400, to: 600 }, 1000, 100)).toEqual({ from: 0, to: 1000 });
    expect(panView({ from: 900, to: 1000 }, 1000, 50)).toEqual({ from: 900, to: 1000 });
  });
});

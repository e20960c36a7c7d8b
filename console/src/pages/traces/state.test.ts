import { describe, expect, it } from "vitest";
import { countFilters, readSearchSearch, searchCommand } from "./searchState";
import { readFold, readTraceSearch, readView, writeFold, writeView } from "./traceState";

describe("a search", () => {
  it("keeps what means something", () => {
    const state = readSearchSearch({ service: "checkout", status: "broken", min: "5 apples", max: "2s", other: "x" });
    expect(state).toEqual({ service: "checkout", max: "2s" });
    expect(countFilters(state)).toBe(2);
  });
  it("reads the same in the terminal", () => {
    const state = { service: "check out", status: "error", min: "150ms", filter: `http.route = "/a'b"` };
    expect(searchCommand(state, { from: "-6h", to: "now" })).toBe(
      `pilothouse traces search --service 'check out' --status error --min-duration 150ms --filter 'http.route = "/a'\\''b"' --start=-6h`,
    );
  });
});

describe("a trace", () => {
  it("drops a span id that is none", () => {
    expect(readTraceSearch({ span: "xyz", panel: "evil", find: "a" })).toEqual({ find: "a" });
  });
  it("keeps the window inside the trace", () => {
    expect(readView(undefined, 1000)).toEqual({ from: 0, to: 1000 });
    expect(readView("100-300", 1000)).toEqual({ from: 100, to: 300 });
    expect(readView("900-2000", 1000)).toEqual({ from: 0, to: 1000 });
    expect(readView("300-100", 1000)).toEqual({ from: 0, to: 1000 });
    expect(writeView({ from: 0, to: 1000 }, 1000)).toBeUndefined();
    expect(readView(writeView({ from: 12.4, to: 13.2 }, 1000), 1000)).toEqual({ from: 12, to: 13 });
  });
  it("names folded spans by id", () => {
    const ids = ["a", "b", "c"];
    expect(readFold(writeFold(new Set([0, 2]), ids), ids)).toEqual(new Set([0, 2]));
    expect(readFold("gone.b", ids)).toEqual(new Set([1]));
    expect(writeFold(new Set(), ids)).toBeUndefined();
  });
});

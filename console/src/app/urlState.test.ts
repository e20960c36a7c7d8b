import { describe, expect, it } from "vitest";
import { parseSearch, pick, rangeOf, rangeSearch, readRangeSearch, stringifySearch } from "./urlState";

describe("the address", () => {
  it("keeps every value as text, there and back", () => {
    for (const filter of ["a = 1 & b", "123", "true", '🦊 = "x+y"', "100%", "<b>", "null"]) {
      expect(parseSearch(stringifySearch({ filter }))).toEqual({ filter });
    }
  });
  it("leaves out what is not chosen", () => {
    expect(stringifySearch({ a: undefined, b: "", c: "1" })).toBe("?c=1");
    expect(stringifySearch({})).toBe("");
    expect(pick({ a: "1", b: 2, c: "", d: "x" }, ["a", "b", "c"])).toEqual({ a: "1" });
  });
});

describe("the range", () => {
  it("is the last hour until chosen otherwise", () => {
    expect(rangeOf(readRangeSearch({}))).toEqual({ from: "-1h", to: "now" });
    expect(rangeSearch({ from: "-1h", to: "now" }, false)).toEqual({});
    expect(rangeSearch({ from: "-6h", to: "now" }, true)).toEqual({ from: "-6h", live: "1" });
  });
  it("cannot be live when its end is fixed", () => {
    const range = { from: "2026-01-01T00:00:00Z", to: "2026-01-01T01:00:00Z" };
    expect(rangeSearch(range, true)).toEqual({ ...range });
  });
  it("drops nonsense", () => {
    expect(readRangeSearch({ from: "javascript:alert(1)", to: "soon", live: "yes" })).toEqual({});
  });
});

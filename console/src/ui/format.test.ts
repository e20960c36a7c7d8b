import { describe, expect, it } from "vitest";
import { formatBytes, formatCount, formatDuration, parseDuration, plural } from "./format";

const plain = (text: string) => text.replaceAll("\u00a0", " ");

describe("formatDuration", () => {
  it.each([
    [0, "0 ns"],
    [850, "850 ns"],
    [999.4, "999 ns"],
    [12_400, "12.4 µs"],
    [999_400, "999 µs"],
    [999_600, "1 ms"],
    [12_400_000, "12.4 ms"],
    [1_000_000_000, "1 s"],
    [1_240_000_000, "1.24 s"],
    [59_990_000_000, "60 s"],
    [125_000_000_000, "2 m 05 s"],
    [3_600_000_000_000, "1 h 00 m"],
    [187_200_000_000_000, "2 d 4 h"],
    [-1_500_000, "-1.5 ms"],
    [Number.NaN, "–"],
  ])("%d ns reads %s", (ns, text) => {
    expect(plain(formatDuration(ns))).toBe(text);
  });
});

describe("parseDuration", () => {
  it.each([
    ["150ms", 150e6],
    ["1m30s", 90e9],
    ["1.5h", 5400e9],
    ["2us", 2000],
    ["2µs", 2000],
    ["", null],
    ["150", null],
    ["ms", null],
    ["-5s", null],
    ["5 apples", null],
  ])("%s", (text, ns) => {
    expect(parseDuration(text)).toBe(ns);
  });
});

describe("counts and bytes", () => {
  it("keep small numbers whole and shorten large ones", () => {
    expect([950, 1000, 12_400, 3_100_000].map((n) => plain(formatCount(n)))).toEqual(["950", "1 k", "12.4 k", "3.1 M"]);
    expect([0, 999, 1_500, 3_100_000_000].map((n) => plain(formatBytes(n)))).toEqual([
      "0 B",
      "999 B",
      "1.5 kB",
      "3.1 GB",
    ]);
  });
  it("agree with their noun", () => {
    expect([plural(1, "span"), plural(50_000, "span")]).toEqual(["1 span", "50,000 spans"]);
  });
});

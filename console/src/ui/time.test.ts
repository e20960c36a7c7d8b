import { describe, expect, it } from "vitest";
import { describeRange, exactMoment, formatAgo, parseMoment, timeTicks } from "./time";

const NOW = 1_700_000_000_000_000_000n;

describe("parseMoment", () => {
  it("reads what the server reads", () => {
    expect(parseMoment("now", NOW)).toBe(NOW);
    expect(parseMoment("-90m", NOW)).toBe(NOW - 5_400_000_000_000n);
    expect(parseMoment("1700000000000000001", NOW)).toBe(1_700_000_000_000_000_001n);
    expect(parseMoment("2023-11-14T22:13:20Z", NOW)).toBe(NOW);
    expect(parseMoment("2023-11-14T22:13:20.000000007Z", NOW)).toBe(NOW + 7n);
    expect(parseMoment("2023-11-15T00:13:20+02:00", NOW)).toBe(NOW);
  });
  it.each(["", "yesterday", "-1x", "12", "--1h"])("refuses %j", (text) => {
    expect(parseMoment(text, NOW)).toBeNull();
  });
});

describe("words", () => {
  it("describe ranges", () => {
    expect(describeRange({ from: "-1h", to: "now" })).toBe("Last hour");
    expect(describeRange({ from: "-45m", to: "now" })).toBe("Last 45 m");
  });
  it("say how long ago, and survive a clock that runs ahead", () => {
    expect(formatAgo(NOW - 12_000_000_000n, NOW)).toBe("12 s ago");
    expect(formatAgo(NOW - 7_300_000_000_000n, NOW)).toBe("2 h ago");
    expect(formatAgo(NOW + 120_000_000_000n, NOW)).toBe("in 2 m");
    expect(formatAgo(NOW, NOW)).toBe("now");
  });
  it("keep every nanosecond of an exact moment", () => {
    expect(exactMoment(NOW + 7n)).toBe("2023-11-14T22:13:20.000000007Z");
  });
});

describe("timeTicks", () => {
  it("are round and inside the window", () => {
    expect(timeTicks(0, 100, 5)).toEqual([0, 20, 40, 60, 80, 100]);
    expect(timeTicks(3, 17, 3)).toEqual([5, 10, 15]);
    expect(timeTicks(5, 5, 3)).toEqual([]);
  });
});

import { describe, expect, it } from "vitest";
import {
  addCondition,
  applyCompletion,
  checkFilter,
  completionAt,
  lexFilter,
  quoteKey,
  quoteWord,
  unquote,
} from "./filter";

describe("lexFilter", () => {
  it("colours each part by its role", () => {
    const { tokens, fault } = lexFilter(`service = checkout and (http.status_code >= 500 or error exists)`);
    expect(fault).toBeNull();
    expect(tokens.map((token) => token.type)).toEqual(
      "key operator value keyword paren key operator value keyword key keyword paren".split(" "),
    );
  });
  it("never throws and covers every visible character", () => {
    for (const text of ["", ")(", '"', "'a", "!", "🦊 = \u202eعربي", "a =".repeat(300), "<script>alert(1)</script>"]) {
      const { tokens } = lexFilter(text);
      expect(tokens.map((token) => token.text).join("")).toBe(text.replace(/\s+/g, ""));
    }
  });
});

describe("checkFilter", () => {
  it.each([
    "",
    "service = checkout",
    "exists db.system and a != b",
    "db.system exists",
    "not (a = 1 or b ~ 'x y')",
    "code in (1, 2, 3) and b = c",
    'code not in (1) or resource."k8s.pod" = x',
    "url = http://x/?a=b&c>d and \"name\" != 'it\\'s'",
  ])("accepts %j", (text) => {
    expect(checkFilter(text)).toBeNull();
  });
  it.each([
    ["service checkout", 8, 16],
    ["service =", 8, 9],
    ["service", 0, 7],
    ["a = 1 b = 2", 6, 7],
    ["a = 1 and", 6, 9],
    ["and a = 1", 0, 3],
    ["(a = 1", 5, 6],
    ["a = 1)", 5, 6],
    ["a = 'open", 4, 9],
    ["a ! b", 2, 3],
    ['a = "x\\"', 4, 8],
    ["in = 3", 0, 2],
  ])("points into %j", (text, from, to) => {
    expect(checkFilter(text)).toMatchObject({ from, to });
  });
});

describe("completion", () => {
  it("knows what comes next", () => {
    expect(completionAt("", 0)).toMatchObject({ expects: "key", prefix: "" });
    expect(completionAt("htt", 3)).toMatchObject({ expects: "key", prefix: "htt", from: 0, to: 3 });
    expect(completionAt("http.method ", 12)).toMatchObject({ expects: "operator", key: "http.method" });
    expect(completionAt("http.method = G", 15)).toMatchObject({ expects: "value", prefix: "G", key: "http.method" });
    expect(completionAt('a = "G E', 8)).toMatchObject({ expects: "value", prefix: "G E", from: 4 });
    expect(completionAt("a = 1 ", 6)).toMatchObject({ expects: "connective" });
    expect(completionAt("a = 1 and (s", 12)).toMatchObject({ expects: "key", prefix: "s" });
  });
  it("replaces the whole word under the caret", () => {
    const text = "http.m = GET";
    expect(applyCompletion(text, completionAt(text, 6), "http.method")).toEqual({
      text: "http.method = GET",
      caret: 12,
    });
  });
  it("appends with a gap", () => {
    expect(applyCompletion("a =", completionAt("a =", 3), "b")).toEqual({ text: "a = b ", caret: 6 });
  });
});

describe("words", () => {
  it.each(["GET", "a b", 'say "hi"', "back\\slash", "and", "", "🦊", "<b>"])("%j survives quoting", (word) => {
    expect(unquote(quoteWord(word))).toBe(word);
    expect(checkFilter(`k = ${quoteWord(word)}`)).toBeNull();
  });
  it("keeps attributes apart from built-in names", () => {
    expect(["http.route", "status", "event.name", "a b", "in"].map(quoteKey)).toEqual([
      "http.route",
      '"status"',
      '"event.name"',
      '"a b"',
      '"in"',
    ]);
  });
  it("are added without changing what was asked", () => {
    expect(addCondition("", "a = 1")).toBe("a = 1");
    expect(addCondition("x = 1 and y = 2", "a = 1")).toBe("x = 1 and y = 2 and a = 1");
    expect(addCondition("x = 1 or y = 2", "a = 1")).toBe("(x = 1 or y = 2) and a = 1");
    expect(addCondition("(x = 1 or y = 2)", "a = 1")).toBe("(x = 1 or y = 2) and a = 1");
  });
});

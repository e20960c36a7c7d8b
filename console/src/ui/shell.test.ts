import { expect, it } from "vitest";
import { commandLine, shellQuote } from "./shell";

it("quotes what a shell would read as more than a word", () => {
  expect(shellQuote("checkout")).toBe("checkout");
  expect(shellQuote("it's $HOME")).toBe(`'it'\\''s $HOME'`);
  expect(shellQuote("")).toBe("''");
});

it("builds a command that runs as it stands", () => {
  expect(
    commandLine(
      ["pilothouse", "traces", "search"],
      [
        ["--service", "a b"],
        ["--start", "-1h"],
        ["--operation", undefined],
      ],
    ),
  ).toBe("pilothouse traces search --service 'a b' --start=-1h");
});

import { expect, it } from "vitest";
import { railOf } from "./planes";

it("offers what the server reports and the console has a page for", () => {
  const traces = { name: "traces", title: "Traces", plane: "observe", summary: "" };
  expect(railOf([]).length).toBe(0);
  expect(railOf([traces, { ...traces, name: "unknown" }])).toMatchObject([
    { title: "Observe", entries: [{ title: "Traces", page: { to: "/traces/search" } }] },
  ]);
});

import { expect, it } from "vitest";
import type { Attribute } from "../../api/schema";
import { searchFor } from "./Attributes";
import { valueText } from "./values";

const attribute = (type: Attribute["type"], value: unknown): Attribute => ({ key: "some key", type, value });

it("keeps every digit of a 64-bit integer", () => {
  expect(valueText(attribute("int", "9223372036854775807"))).toBe("9223372036854775807");
  const nested = {
    type: "array",
    value: [
      { type: "int", value: "9223372036854775807" },
      { type: "int", value: "7" },
    ],
  } as const;
  expect(JSON.parse(valueText({ ...nested }))).toEqual(["9223372036854775807", 7]);
});

it("writes nested values as JSON", () => {
  const value = [
    { key: "a", type: "bool", value: false },
    {
      key: "b",
      type: "array",
      value: [
        { type: "double", value: "NaN" },
        { type: "empty", value: null },
      ],
    },
  ];
  expect(JSON.parse(valueText(attribute("kvlist", value)))).toEqual({ a: false, b: ["NaN", null] });
});

it("turns a value into the search that finds it", () => {
  expect(searchFor(attribute("string", `<b>"x"</b>`))).toEqual({ filter: `"some key" = "<b>\\"x\\"</b>"` });
  expect(searchFor(attribute("int", "42"))).toEqual({ filter: `"some key" = 42` });
  expect(searchFor({ key: "service.name", type: "string", value: "cart" })).toEqual({ service: "cart" });
  expect(searchFor(attribute("kvlist", []))).toBeNull();
  expect(searchFor(attribute("string", "x".repeat(5000)))).toBeNull();
});

import { expect, it } from "vitest";
import { SERIES, seriesIndex } from "./palette";

it("gives a name one colour, for ever", () => {
  // Pinned: a change here recolours every service of every user.
  expect(["checkout", "cart", "payment", "shipping"].map(seriesIndex)).toMatchInlineSnapshot(`
    [
      9,
      3,
      6,
      0,
    ]
  `);
});

it("spreads similar names over the palette", () => {
  const used = new Set(Array.from({ length: 40 }, (_, index) => seriesIndex(`service-${index}`)));
  expect(used.size).toBeGreaterThan(SERIES - 3);
});

it("takes any text", () => {
  for (const name of ["", "🦊", "خدمة", "x".repeat(4000)]) {
    expect(seriesIndex(name)).toBeGreaterThanOrEqual(0);
    expect(seriesIndex(name)).toBeLessThan(SERIES);
  }
});

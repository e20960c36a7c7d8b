/** What the user chose, as it stands in the address bar. Every value is text; anything unknown is dropped. */

import { DEFAULT_RANGE, isRelative, parseMoment, type Range } from "../ui/time";

export type Search = Record<string, string | undefined>;

/** Reads `?a=b` without guessing types: ids of digits and `true` stay text. */
export function parseSearch(text: string): Search {
  return Object.fromEntries(new URLSearchParams(text));
}

export function stringifySearch(search: Record<string, unknown>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    if (typeof value === "string" && value !== "") query.set(name, value);
  }
  const text = query.toString();
  return text ? `?${text}` : "";
}

/** Keeps the named parameters that are non-empty text. */
export function pick<Name extends string>(
  search: Record<string, unknown>,
  names: readonly Name[],
): { [N in Name]?: string } {
  const chosen: { [N in Name]?: string } = {};
  for (const name of names) {
    const value = search[name];
    if (typeof value === "string" && value !== "") chosen[name] = value;
  }
  return chosen;
}

export interface RangeSearch {
  from?: string;
  to?: string;
  live?: string;
}

/** The range of time is shared by all pages; defaults and nonsense stay out of the address. */
export function readRangeSearch(search: Record<string, unknown>): RangeSearch {
  const { from, to, live } = pick(search, ["from", "to", "live"]);
  const valid = (text: string | undefined) => (text && parseMoment(text, 0n) !== null ? text : undefined);
  const range = { from: valid(from), to: valid(to) };
  return {
    from: range.from === DEFAULT_RANGE.from ? undefined : range.from,
    to: range.to === DEFAULT_RANGE.to ? undefined : range.to,
    live: live === "1" && (range.to ?? DEFAULT_RANGE.to) === DEFAULT_RANGE.to ? "1" : undefined,
  };
}

export function rangeOf(search: RangeSearch): Range {
  return { from: search.from ?? DEFAULT_RANGE.from, to: search.to ?? DEFAULT_RANGE.to };
}

/** The parameters that stand for a range. A range with a fixed end cannot be live. */
export function rangeSearch(range: Range, live: boolean): RangeSearch {
  return readRangeSearch({ from: range.from, to: range.to, live: live && isRelative(range) ? "1" : "" });
}

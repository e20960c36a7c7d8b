/** Where in the filter a refusal of the server points. */

import type { Problem } from "../../api/schema";
import type { Fault } from "../../ui/filter";

/**
 * The server names the parameter and the place as `filter:12` or “character 12” (counted from one, in code points);
 * `null` when the problem is not about the filter. Without a place the whole filter is meant.
 */
export function filterFault(problem: Problem, filter: string): Fault | null {
  const where = problem.where ?? "";
  if (problem.status !== 400 || !/filter/i.test(where) || filter === "") return null;
  const place = /(\d+)\s*$/.exec(where)?.[1];
  const message = problem.detail ?? problem.title;
  if (place === undefined) return { from: 0, to: filter.length, message };
  const from = Array.from(filter)
    .slice(0, Math.max(0, Number(place) - 1))
    .join("").length;
  const start = Math.min(from, Math.max(0, filter.length - 1));
  const word = /^\s*\S+/.exec(filter.slice(start))?.[0].length ?? 1;
  return { from: start, to: start + word, message };
}

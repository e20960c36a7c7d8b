/** What a search asks, as it stands in the address, and the same question for the terminal. */

import { pick } from "../../app/urlState";
import { parseDuration } from "../../ui/format";
import { commandLine } from "../../ui/shell";
import type { Range } from "../../ui/time";

const NAMES = ["service", "operation", "status", "min", "max", "filter"] as const;

export type SearchState = { [Name in (typeof NAMES)[number]]?: string };

export const STATUSES = ["error", "ok", "unset"] as const;

/** Reads the address; a status or duration that means nothing is dropped. */
export function readSearchSearch(search: Record<string, unknown>): SearchState {
  const state = pick(search, NAMES);
  if (state.status && !(STATUSES as readonly string[]).includes(state.status)) state.status = undefined;
  if (state.min && parseDuration(state.min) === null) state.min = undefined;
  if (state.max && parseDuration(state.max) === null) state.max = undefined;
  return state;
}

/** How many filters are set. */
export function countFilters(state: SearchState): number {
  return NAMES.filter((name) => state[name]).length;
}

/** No filter at all: for links that must not keep any. */
export const NO_FILTERS: SearchState = Object.fromEntries(NAMES.map((name) => [name, undefined]));

/** The command that gives the same list. */
export function searchCommand(state: SearchState, range: Range): string {
  return commandLine(
    ["pilothouse", "traces", "search"],
    [
      ["--service", state.service],
      ["--operation", state.operation],
      ["--status", state.status],
      ["--min-duration", state.min],
      ["--max-duration", state.max],
      ["--filter", state.filter],
      ["--start", range.from],
      ["--end", range.to === "now" ? undefined : range.to],
    ],
  );
}

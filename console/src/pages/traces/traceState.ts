/** What is looked at within a trace, as it stands in the address. */

import { pick } from "../../app/urlState";
import { panView, type View } from "../../ui/waterfall/tree";

/** `span`: the selected one; `find`: the search within; `view`: the window of time; `fold`: span ids; `panel`: its tab. */
export type TraceState = { span?: string; find?: string; view?: string; fold?: string; panel?: string };

/** More folded spans than this are not kept in the address. */
const MAX_FOLDED = 100;

export function readTraceSearch(search: Record<string, unknown>): TraceState {
  const state = pick(search, ["span", "find", "view", "fold", "panel"]);
  if (state.span && !/^[0-9a-f]{16}$/.test(state.span)) state.span = undefined;
  if (state.panel !== "json") state.panel = undefined;
  return state;
}

/** `1200-3400` in ns after the start, kept inside the trace; the whole trace when it is absent or empty. */
export function readView(text: string | undefined, length: number): View {
  const match = /^(\d{1,18})-(\d{1,18})$/.exec(text ?? "");
  const [from, to] = [Number(match?.[1] ?? 0), Number(match?.[2] ?? length)];
  if (!(to > from)) return { from: 0, to: length };
  const size = Math.min(length, to - from);
  return panView({ from, to: from + size }, length, 0);
}

export function writeView(view: View, length: number): string | undefined {
  const [from, to] = [Math.round(view.from), Math.round(view.to)];
  return from <= 0 && to >= length ? undefined : `${from}-${Math.max(to, from + 1)}`;
}

/** Folded spans by id: ids stay right when late spans arrive, indices would not. */
export function readFold(text: string | undefined, spanIds: string[]): Set<number> {
  const wanted = new Set((text ?? "").split("."));
  const folded = new Set<number>();
  if (text)
    for (let index = 0; index < spanIds.length; index += 1) if (wanted.has(spanIds[index] ?? "")) folded.add(index);
  return folded;
}

export function writeFold(folded: ReadonlySet<number>, spanIds: string[]): string | undefined {
  if (folded.size === 0 || folded.size > MAX_FOLDED) return undefined;
  return [...folded].map((index) => spanIds[index] ?? "").join(".");
}

/** A loaded trace: header, search within, waterfall, span panel, and the keys that drive them. */

import { getRouteApi } from "@tanstack/react-router";
import { useCallback, useMemo, useRef, useState } from "react";
import { useKeys } from "../../ui/useKeys";
import {
  ancestors,
  errorSpans,
  findSpans,
  foldedAtDepth,
  hasChildren,
  nextHit,
  panView,
  rowOf,
  type SpanTree,
  visibleRows,
  zoomView,
} from "../../ui/waterfall/tree";
import { Waterfall, type WaterfallHandle } from "../../ui/waterfall/Waterfall";
import { SpanPanel } from "./SpanPanel";
import { TraceHeader } from "./TraceHeader";
import css from "./TracePage.module.css";
import { TraceTools } from "./TraceTools";
import { readFold, readView, type TraceState, writeFold, writeView } from "./traceState";
import { useUrlBacked } from "./useUrlBacked";

const route = getRouteApi("/traces/$traceId");

interface TraceViewProps {
  tree: SpanTree;
  /** When the data is from, in ms, if it could not be refreshed. */
  staleSince: number | null;
  onRefresh: () => void;
}

export function TraceView({ tree, staleSince, onRefresh }: TraceViewProps) {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const { spanId: spanIds } = tree.trace.spans;
  const save = useCallback(
    (change: TraceState) => void navigate({ search: (previous) => ({ ...previous, ...change }), replace: true }),
    [navigate],
  );
  const indexOf = (id: string | undefined) => (id ? spanIds.indexOf(id) : -1);
  const [selected, select] = useUrlBacked(
    search.span,
    indexOf,
    (index) => spanIds[index],
    (span) => save({ span }),
  );
  const [view, setView] = useUrlBacked(
    search.view,
    (text) => readView(text, tree.length),
    (next) => writeView(next, tree.length),
    (text) => save({ view: text }),
  );
  const [folded, setFolded] = useUrlBacked<ReadonlySet<number>>(
    search.fold,
    (text) => readFold(text, spanIds),
    (next) => writeFold(next, spanIds),
    (fold) => save({ fold }),
  );
  const [find, setFind] = useUrlBacked(
    search.find,
    (text) => text ?? "",
    (text) => text || undefined,
    (text) => save({ find: text }),
  );

  const waterfall = useRef<WaterfallHandle>(null);
  const searchField = useRef<HTMLInputElement>(null);
  const [cursor, setCursor] = useState(selected);
  const rows = useMemo(() => visibleRows(tree, folded), [tree, folded]);
  const errors = useMemo(() => errorSpans(tree), [tree]);
  const hits = useMemo(() => findSpans(tree, find), [tree, find]);
  const hitSet = useMemo(() => new Set(hits), [hits]);

  /** Moves the cursor to a span, unfolding what hides it; open details follow. */
  const goTo = useCallback(
    (index: number) => {
      if (index < 0) return;
      const hiding = ancestors(tree, index).filter((ancestor) => folded.has(ancestor));
      if (hiding.length > 0) setFolded(without(folded, hiding));
      setCursor(index);
      if (selected >= 0) select(index);
      // After the rows have changed.
      requestAnimationFrame(() => waterfall.current?.reveal(index));
    },
    [tree, folded, selected, select, setFolded],
  );
  /** As `goTo`, and moves the window of time to where the span is when it shows none of it. */
  const goToHit = (index: number) => {
    goTo(index);
    const start = tree.start[index];
    if (start === undefined) return;
    const shown = start <= view.to && start + (tree.duration[index] ?? 0) >= view.from;
    if (!shown) setView(panView(view, tree.length, start - (view.from + view.to) / 2));
  };
  const open = useCallback(
    (index: number) => {
      setCursor(index);
      select(index);
    },
    [select],
  );
  const fold = useCallback(
    (index: number) => {
      if (!hasChildren(tree, index)) return;
      setFolded(folded.has(index) ? without(folded, [index]) : new Set([...folded, index]));
      if (!folded.has(index) && cursor > index && cursor < (tree.end[index] ?? 0)) setCursor(index);
    },
    [tree, folded, cursor, setFolded],
  );
  const foldAll = (depth: number | null) => {
    setFolded(depth === null ? new Set() : foldedAtDepth(tree, depth));
    if (depth !== null && cursor >= 0) setCursor(ancestors(tree, cursor)[depth] ?? cursor);
  };

  const step = (by: number) => {
    const row = cursor < 0 ? (by > 0 ? 0 : rows.length - 1) : rowOf(rows, cursor) + by;
    goTo(rows[Math.max(0, Math.min(rows.length - 1, row))] ?? -1);
  };
  const outward = () => {
    if (cursor >= 0 && hasChildren(tree, cursor) && !folded.has(cursor)) fold(cursor);
    else goTo(tree.parent[cursor] ?? -1);
  };
  const inward = () => {
    if (cursor < 0 || !hasChildren(tree, cursor)) return;
    if (folded.has(cursor)) fold(cursor);
    else goTo(cursor + 1);
  };
  const zoom = (factor: number) => {
    const middle = cursor < 0 ? undefined : (tree.start[cursor] ?? 0) + (tree.duration[cursor] ?? 0) / 2;
    const inside = middle !== undefined && middle >= view.from && middle <= view.to;
    setView(zoomView(view, tree.length, factor, inside ? middle : undefined));
  };
  const zoomToSpan = () => {
    if (cursor < 0) return;
    const start = tree.start[cursor] ?? 0;
    const size = Math.max((tree.duration[cursor] ?? 0) * 1.2, 100);
    setView(panView({ from: 0, to: Math.min(size, tree.length) }, tree.length, start - size / 12));
  };
  const pan = (share: number) => setView(panView(view, tree.length, (view.to - view.from) * share));
  const openCursor = () => (cursor >= 0 ? open(cursor) : false);

  const treeKeys: Record<string, () => unknown> = {
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
    ArrowLeft: outward,
    ArrowRight: inward,
    PageDown: () => step(waterfall.current?.pageSize() ?? 20),
    PageUp: () => step(-(waterfall.current?.pageSize() ?? 20)),
    Home: () => goToHit(0),
    End: () => goTo(rows[rows.length - 1] ?? -1),
    " ": openCursor,
  };
  useKeys({
    j: () => step(1),
    k: () => step(-1),
    h: outward,
    l: inward,
    g: () => goTo(0),
    G: () => goTo(rows[rows.length - 1] ?? -1),
    Enter: openCursor,
    Escape: () => select(-1),
    n: () => goToHit(nextHit(hits, cursor, 1)),
    N: () => goToHit(nextHit(hits, cursor, -1)),
    e: () => goToHit(nextHit(errors, cursor, 1)),
    E: () => goToHit(nextHit(errors, cursor, -1)),
    "[": () => foldAll(1),
    "]": () => foldAll(null),
    "+": () => zoom(0.5),
    "=": () => zoom(0.5),
    "-": () => zoom(2),
    "0": () => setView({ from: 0, to: tree.length }),
    z: zoomToSpan,
    H: () => pan(-0.4),
    L: () => pan(0.4),
    "/": () => searchField.current?.select(),
  });

  return (
    <div className={css.page}>
      <TraceHeader tree={tree} staleSince={staleSince} onRefresh={onRefresh} onService={setFind} />
      <TraceTools
        tree={tree}
        find={find}
        onFind={setFind}
        hits={hits}
        errors={errors}
        cursor={cursor}
        onGo={goToHit}
        onFold={foldAll}
        fieldRef={searchField}
        onLeave={() => waterfall.current?.focus()}
      />
      <div className={css.body}>
        <Waterfall
          tree={tree}
          rows={rows}
          folded={folded}
          view={view}
          cursor={cursor}
          selected={selected}
          hits={hitSet}
          onView={setView}
          onSelect={open}
          onFold={fold}
          onTreeKey={(key) => key in treeKeys && treeKeys[key]?.() !== false}
          handle={waterfall}
        />
        {selected >= 0 && (
          <SpanPanel
            tree={tree}
            index={selected}
            tab={search.panel === "json" ? "json" : "details"}
            onTab={(tab) => save({ panel: tab === "json" ? "json" : undefined })}
            onClose={() => {
              select(-1);
              waterfall.current?.focus();
            }}
            onSpan={(spanId) => goToHit(indexOf(spanId))}
          />
        )}
      </div>
    </div>
  );
}

function without(folded: ReadonlySet<number>, shown: number[]): Set<number> {
  const rest = new Set(folded);
  for (const index of shown) rest.delete(index);
  return rest;
}

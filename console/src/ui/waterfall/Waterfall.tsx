/**
 * The waterfall: minimap, ruler and virtual rows over one `SpanTree`. It keeps nothing of its own but the width of the
 * name column; what is selected, folded, found and zoomed belongs to the page, and so to the address.
 */

import { useElementSize, useLocalStorage, useMediaQuery } from "@mantine/hooks";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, type RefObject, useEffect, useImperativeHandle, useMemo, useRef } from "react";
import { Minimap } from "./Minimap";
import { Ruler } from "./Ruler";
import { rowOf, type SpanTree, stickyAncestors, type View } from "./tree";
import css from "./Waterfall.module.css";
import { WaterfallRow } from "./WaterfallRow";

export const ROW = 28;
const STICKY = 4;

/** What the page may ask of the waterfall. */
export interface WaterfallHandle {
  /** Brings a span into sight, in the middle when it was out of it. */
  reveal: (index: number) => void;
  /** How many rows are in sight. */
  pageSize: () => number;
  focus: () => void;
}

export interface WaterfallProps {
  tree: SpanTree;
  rows: Int32Array;
  folded: ReadonlySet<number>;
  view: View;
  /** The span the keyboard is at, -1 for none. */
  cursor: number;
  /** The span whose details are open, -1 for none. */
  selected: number;
  hits: ReadonlySet<number>;
  onView: (view: View) => void;
  onSelect: (index: number) => void;
  onFold: (index: number) => void;
  /** Keys that mean something to a focused tree (arrows, Home, End, page keys). Returns whether it was one. */
  onTreeKey: (key: string) => boolean;
  handle: RefObject<WaterfallHandle | null>;
}

export function Waterfall(props: WaterfallProps) {
  const { tree, rows, folded, view, cursor, selected, hits, onView, onSelect, onFold, onTreeKey, handle } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const { ref: frame, width } = useElementSize();
  const narrow = useMediaQuery("(max-width: 800px)", false, { getInitialValueInEffect: false });
  const [wanted, setWanted] = useLocalStorage({
    key: "pilothouse.span-names",
    defaultValue: 420,
    getInitialValueInEffect: false,
  });
  const names = narrow ? Math.round(width * 0.5) : Math.max(180, Math.min(wanted, width - 240));
  const virtualizer = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 12,
  });
  const items = virtualizer.getVirtualItems();
  const first = virtualizer.range?.startIndex ?? 0;
  const last = virtualizer.range?.endIndex ?? 0;
  const sticky = useMemo(() => stickyAncestors(tree, rows, first, STICKY), [tree, rows, first]);
  const pinned = first === 0 ? [] : sticky;

  useImperativeHandle(handle, () => ({
    reveal: (index) => {
      const row = rowOf(rows, index);
      const range = virtualizer.range;
      if (range && (row < range.startIndex + STICKY || row > range.endIndex - 2)) {
        const near = row >= range.startIndex - 3 && row <= range.endIndex + 3;
        if (near) virtualizer.scrollToOffset(Math.max(0, (virtualizer.scrollOffset ?? 0) + nudge(row, range)));
        else virtualizer.scrollToIndex(row, { align: "center" });
      }
    },
    pageSize: () => Math.max(1, last - first - STICKY),
    focus: () => scroller.current?.focus({ preventScroll: true }),
  }));

  // Ctrl and wheel zooms around the pointer. React's own wheel handler is passive and could not keep the page from zooming.
  useZoomWheel(scroller, names, view, tree.length, onView);

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (onTreeKey(event.key)) event.preventDefault();
  };
  const row = (index: number) => (
    <WaterfallRow
      tree={tree}
      index={index}
      folded={folded.has(index)}
      from={view.from}
      to={view.to}
      cursor={index === cursor}
      selected={index === selected}
      hit={hits.has(index)}
      names={names}
      onSelect={onSelect}
      onFold={onFold}
    />
  );
  const cursorShown = items.some((item) => rows[item.index] === cursor);
  return (
    <div ref={frame} className={css.frame} style={{ "--names": `${names}px` } as React.CSSProperties}>
      <Minimap
        tree={tree}
        rows={rows}
        view={view}
        first={first}
        last={last}
        onView={onView}
        onRow={(at) => virtualizer.scrollToIndex(at, { align: "center" })}
      />
      <Ruler view={view} ticks={narrow ? 2 : 5} names={names} onNames={narrow ? undefined : setWanted} />
      <div
        ref={scroller}
        className={css.scroller}
        role="tree"
        aria-label="Spans"
        tabIndex={0}
        aria-activedescendant={cursorShown ? `span-${cursor}` : undefined}
        onKeyDown={onKeyDown}
      >
        <div role="none" className={css.pinned}>
          <div role="none" className={css.pinnedRows} hidden={pinned.length === 0} aria-hidden="true">
            {pinned.map((index) => (
              <div role="none" key={index} className={css.pinnedRow}>
                {row(index)}
              </div>
            ))}
          </div>
        </div>
        <div role="none" className={css.rows} style={{ height: virtualizer.getTotalSize() }}>
          {items.map((item) => {
            const index = rows[item.index] ?? 0;
            return (
              <div
                key={index}
                id={`span-${index}`}
                role="treeitem"
                tabIndex={-1}
                aria-level={(tree.depth[index] ?? 0) + 1}
                aria-expanded={(tree.end[index] ?? 0) > index + 1 ? !folded.has(index) : undefined}
                aria-selected={index === selected}
                className={css.item}
                style={{ transform: `translateY(${item.start}px)` }}
              >
                {row(index)}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

/** How far to scroll so that a row just outside of the range is inside it, clear of the pinned rows. */
function nudge(row: number, range: { startIndex: number; endIndex: number }): number {
  if (row < range.startIndex + STICKY) return (row - range.startIndex - STICKY) * ROW;
  return (row - range.endIndex + 2) * ROW;
}

function useZoomWheel(
  scroller: RefObject<HTMLDivElement | null>,
  names: number,
  view: View,
  length: number,
  onView: (view: View) => void,
): void {
  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const onWheel = (event: WheelEvent) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      const box = element.getBoundingClientRect();
      const share = Math.max(0, Math.min(1, (event.clientX - box.left - names) / (element.clientWidth - names)));
      const centre = view.from + share * (view.to - view.from);
      const size = Math.min(
        length,
        Math.max(Math.min(length, 100), (view.to - view.from) * Math.exp(event.deltaY / 300)),
      );
      const from = Math.max(0, Math.min(length - size, centre - share * size));
      onView({ from, to: from + size });
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => element.removeEventListener("wheel", onWheel);
  }, [scroller, names, view, length, onView]);
}

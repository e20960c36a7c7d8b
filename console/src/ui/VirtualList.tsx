/** A list of fixed-height rows of which only those in sight exist, walked by keyboard (j, k, g, G, Enter). */

import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { useKeys } from "./useKeys";
import css from "./VirtualList.module.css";

interface VirtualListProps {
  label: string;
  count: number;
  rowHeight: number;
  keyOf: (index: number) => string;
  /** A row; it must hold one focusable element (a link), which gets the focus when the row is walked to. */
  row: (index: number) => ReactNode;
  header?: ReactNode;
  footer?: ReactNode;
  /** Called when the last rows come into sight. */
  onEnd?: () => void;
  onOpen?: (index: number) => void;
  /** Where the list was scrolled to when it was last left. */
  scrollId: string;
  initialOffset?: number;
}

export function VirtualList(props: VirtualListProps) {
  const { label, count, rowHeight, keyOf, row, header, footer, onEnd, onOpen, scrollId, initialOffset } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState(-1);
  const virtualizer = useVirtualizer({
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    getItemKey: keyOf,
    overscan: 10,
    initialOffset,
  });
  const items = virtualizer.getVirtualItems();
  const last = items.at(-1)?.index ?? -1;
  useEffect(() => {
    if (last >= count - 5 && last >= 0) onEnd?.();
  }, [last, count, onEnd]);
  useEffect(() => {
    // Rows of another height invalidate every position.
    if (rowHeight > 0) virtualizer.measure();
  }, [rowHeight, virtualizer]);

  const walk = (to: number) => {
    const next = Math.max(0, Math.min(count - 1, to));
    if (count === 0) return;
    setActive(next);
    virtualizer.scrollToIndex(next);
    requestAnimationFrame(() =>
      scroller.current?.querySelector<HTMLElement>(`[data-index="${next}"] a`)?.focus({ preventScroll: true }),
    );
  };
  useKeys({
    j: () => walk(active + 1),
    k: () => walk(active - 1),
    g: () => walk(0),
    G: () => walk(count - 1),
    Enter: () => active >= 0 && onOpen?.(active),
  });

  return (
    <div className={css.frame}>
      {header}
      <div ref={scroller} className={css.scroller} data-scroll-restoration-id={scrollId}>
        <ul aria-label={label} className={css.list} style={{ height: virtualizer.getTotalSize() }}>
          {items.map((item) => (
            <li
              key={item.key}
              data-index={item.index}
              data-active={item.index === active}
              aria-setsize={count}
              aria-posinset={item.index + 1}
              className={css.item}
              style={{ height: rowHeight, transform: `translateY(${item.start}px)` }}
              onFocus={() => setActive(item.index)}
            >
              {row(item.index)}
            </li>
          ))}
        </ul>
        {footer}
      </div>
    </div>
  );
}

import { type KeyboardEvent, type PointerEvent, useRef } from "react";
import { formatDuration } from "../format";
import { timeTicks } from "../time";
import type { View } from "./tree";
import css from "./Waterfall.module.css";

interface RulerProps {
  view: View;
  ticks: number;
  names: number;
  /** Sets the width of the name column in px; absent when it cannot be chosen. */
  onNames?: (width: number) => void;
}

/** The head of the columns: the time after the start of the trace, and the handle between names and time. */
export function Ruler({ view, ticks, names, onNames }: RulerProps) {
  const begin = useRef({ x: 0, names: 0 });
  const onPointerDown = (event: PointerEvent<HTMLElement>) => {
    begin.current = { x: event.clientX, names };
    event.currentTarget.setPointerCapture(event.pointerId);
  };
  const onPointerMove = (event: PointerEvent<HTMLElement>) => {
    if (event.currentTarget.hasPointerCapture(event.pointerId))
      onNames?.(begin.current.names + event.clientX - begin.current.x);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -20, ArrowRight: 20 }[event.key];
    if (step) {
      onNames?.(names + step);
      event.preventDefault();
    }
  };
  const scale = 100 / (view.to - view.from);
  return (
    <div className={css.ruler}>
      <span className={css.names}>Service and operation</span>
      {onNames && (
        <div
          className={css.splitter}
          role="separator"
          aria-orientation="vertical"
          aria-label="Width of the names"
          aria-valuenow={names}
          aria-valuemin={180}
          aria-valuemax={1200}
          tabIndex={0}
          onPointerDown={onPointerDown}
          onPointerMove={onPointerMove}
          onKeyDown={onKeyDown}
        />
      )}
      <div className={css.ticks}>
        {timeTicks(view.from, view.to, ticks).map((tick) => (
          <span key={tick} data-first={tick === view.from} style={{ left: `${(tick - view.from) * scale}%` }}>
            {formatDuration(tick)}
          </span>
        ))}
      </div>
    </div>
  );
}

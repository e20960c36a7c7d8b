import { useComputedColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { type PointerEvent, useEffect, useRef, useState } from "react";
import { formatDuration } from "../format";
import { SERIES, seriesIndex } from "../palette";
import type { SpanTree, View } from "./tree";
import css from "./Waterfall.module.css";

export const MAP_HEIGHT = 56;
/** A pointer that moved less than this was a click, in px. */
const CLICK = 4;

interface MinimapProps {
  tree: SpanTree;
  rows: Int32Array;
  view: View;
  /** The rows in sight. */
  first: number;
  last: number;
  onView: (view: View) => void;
  onRow: (row: number) => void;
}

/** The whole trace in one picture. Dragging across it zooms into that time; a click goes to that row. */
export function Minimap({ tree, rows, view, first, last, onView, onRow }: MinimapProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { ref, width } = useElementSize();
  const scheme = useComputedColorScheme("dark");
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);

  useEffect(() => {
    if (canvas.current && width > 0) paint(canvas.current, tree, rows, Math.round(width));
  }, [tree, rows, width, scheme]);

  const share = (event: PointerEvent<HTMLElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
  };
  const onPointerUp = (event: PointerEvent<HTMLElement>) => {
    if (!drag) return;
    setDrag(null);
    if (Math.abs(drag.to - drag.from) * width < CLICK) {
      const box = event.currentTarget.getBoundingClientRect();
      onRow(Math.floor(((event.clientY - box.top) / box.height) * rows.length));
    } else {
      onView({ from: Math.min(drag.from, drag.to) * tree.length, to: Math.max(drag.from, drag.to) * tree.length });
    }
  };
  const whole = view.from <= 0 && view.to >= tree.length;
  const shown = drag ?? (whole ? null : { from: view.from / tree.length, to: view.to / tree.length });
  const [left, right] = shown ? [Math.min(shown.from, shown.to), Math.max(shown.from, shown.to)] : [0, 1];
  const total = Math.max(1, rows.length);
  return (
    <div className={css.map}>
      <div className={css.mapSide}>
        {whole ? (
          <span>Drag to zoom</span>
        ) : (
          <button type="button" className={css.reset} onClick={() => onView({ from: 0, to: tree.length })}>
            Show all {formatDuration(tree.length)}
          </button>
        )}
      </div>
      <div
        ref={ref}
        className={css.mapArea}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          setDrag({ from: share(event), to: share(event) });
        }}
        onPointerMove={(event) => drag && setDrag({ from: drag.from, to: share(event) })}
        onPointerUp={onPointerUp}
        onPointerCancel={() => setDrag(null)}
      >
        <canvas ref={canvas} className={css.canvas} role="img" aria-label={`Overview of ${tree.count} spans`} />
        {shown && (
          <>
            <i className={css.shade} style={{ left: 0, width: `${left * 100}%` }} />
            <i className={css.shade} style={{ right: 0, width: `${(1 - right) * 100}%` }} />
          </>
        )}
        <i
          hidden={last - first + 1 >= rows.length}
          className={css.sight}
          style={{ top: `${(first / total) * 100}%`, height: `${((last - first + 1) / total) * 100}%` }}
        />
      </div>
    </div>
  );
}

/** Reads a CSS colour of ours as the pixel value of a canvas (little-endian RGBA). */
function pixel(style: CSSStyleDeclaration, name: string): number {
  const hex = Number.parseInt(style.getPropertyValue(name).trim().slice(1), 16);
  return (0xff000000 | ((hex & 0xff) << 16) | (hex & 0xff00) | (hex >> 16)) >>> 0;
}

/** Writes pixels, not rectangles: fifty thousand spans take a few milliseconds. Errors come last, so that none hides. */
function paint(canvas: HTMLCanvasElement, tree: SpanTree, rows: Int32Array, cssWidth: number): void {
  const density = window.devicePixelRatio || 1;
  const width = Math.round(cssWidth * density);
  const height = Math.round(MAP_HEIGHT * density);
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (!context || rows.length === 0) return;
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const style = getComputedStyle(document.documentElement);
  const palette = Array.from({ length: SERIES }, (_, index) => pixel(style, `--ph-series-${index}`));
  const colors = tree.services.map((name) => palette[seriesIndex(name)] ?? 0);
  const bad = pixel(style, "--ph-bad");
  const pitch = height / rows.length;
  const thick = Math.max(1, Math.min(Math.floor(pitch) - (pitch > 3 ? 1 : 0), Math.round(8 * density)));
  const scale = width / tree.length;
  const bar = (row: number, color: number) => {
    const index = rows[row] ?? 0;
    const left = Math.max(0, Math.min(width - 1, Math.floor((tree.start[index] ?? 0) * scale)));
    const right = Math.min(
      width,
      Math.max(left + Math.ceil(density), Math.ceil(((tree.start[index] ?? 0) + (tree.duration[index] ?? 0)) * scale)),
    );
    const top = Math.floor(row * pitch);
    for (let y = top; y < Math.min(height, top + thick); y += 1)
      pixels.fill(color, y * width + left, y * width + right);
  };
  for (let row = 0; row < rows.length; row += 1) bar(row, colors[tree.service[rows[row] ?? 0] ?? 0] ?? 0);
  for (let row = 0; row < rows.length; row += 1) if (tree.error[rows[row] ?? 0]) bar(row, bad);
  context.putImageData(image, 0, 0);
}

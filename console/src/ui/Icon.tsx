import type { CSSProperties } from "react";

/** Strokes on a 16 by 16 grid, drawn for this console. */
const PATHS = {
  observe:
    "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8Z M8 6.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6Z",
  secure: "M8 1.8 13 3.6v4c0 3.2-2 5.5-5 6.6-3-1.1-5-3.4-5-6.6v-4Z",
  operate:
    "M8 5.4a2.6 2.6 0 1 0 0 5.2 2.6 2.6 0 0 0 0-5.2Z M8 1.5v2.2M8 12.3v2.2M1.5 8h2.2M12.3 8h2.2M3.4 3.4 5 5M11 11l1.6 1.6M12.6 3.4 11 5M5 11l-1.6 1.6",
  measure: "M2 12.5a6.5 6.5 0 1 1 12 0 M8 10.5l3-4",
  assist: "M2 3h12v8H8l-3.5 2.8V11H2Z",
  learn: "M8 3.8C6.5 2.8 4.5 2.5 2 2.7v9.8c2.5-.2 4.5.1 6 1.1 1.5-1 3.5-1.3 6-1.1V2.7C11.5 2.5 9.5 2.8 8 3.8Zm0 0v9.6",
  traces: "M2 3.5h8M4.5 8h8M8 12.5h6",
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9ZM10.3 10.3 14 14",
  menu: "M2 4h12M2 8h12M2 12h12",
  collapse: "M10 3.5 5.5 8l4.5 4.5",
  expand: "M6 3.5 10.5 8 6 12.5",
  down: "M3.5 6 8 10.5 12.5 6",
  up: "M3.5 10 8 5.5 12.5 10",
  close: "M3.5 3.5l9 9M12.5 3.5l-9 9",
  clock: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8ZM8 4.5V8l2.5 1.7",
  refresh: "M13.5 8a5.5 5.5 0 1 1-1.7-4M13.5 1.8v3h-3",
  live: "M8 6.8a1.2 1.2 0 1 0 0 2.4 1.2 1.2 0 0 0 0-2.4ZM5.2 5a4.2 4.2 0 0 0 0 6M10.8 5a4.2 4.2 0 0 1 0 6M3 2.8a7.3 7.3 0 0 0 0 10.4M13 2.8a7.3 7.3 0 0 1 0 10.4",
  sun: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6ZM8 1.2v1.5M8 13.3v1.5M1.2 8h1.5M13.3 8h1.5M3.2 3.2l1 1M11.8 11.8l1 1M12.8 3.2l-1 1M4.2 11.8l-1 1",
  moon: "M13.5 9.6A5.8 5.8 0 0 1 6.4 2.5a5.8 5.8 0 1 0 7.1 7.1Z",
  copy: "M5.5 5.5h8v8h-8ZM3 10.5H2.5v-8h8V3",
  check: "M3 8.5 6.5 12 13 4.5",
  error: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8ZM8 4.6v4M8 11v.3",
  warning: "M8 2 14.8 13.5H1.2ZM8 6.5v3M8 11.5v.2",
  terminal: "M1.5 2.5h13v11h-13ZM4 6l2.2 2L4 10M8 10.5h4",
  link: "M6.5 9.5a3 3 0 0 0 4.2 0l2.5-2.5A3 3 0 0 0 9 2.8L8 3.8M9.5 6.5a3 3 0 0 0-4.2 0L2.8 9A3 3 0 0 0 7 13.2l1-1",
  filter: "M2 3h12L9.5 8.5V13l-3-1.5v-3Z",
  keyboard: "M1.5 4h13v8.5h-13ZM4 6.5h.1M6.6 6.5h.1M9.2 6.5h.1M11.9 6.5h.1M4.5 10h7",
  braces:
    "M6 2.5c-1.8 0-2 .8-2 2 0 1.6 0 2.8-1.8 3.5C4 8.7 4 9.9 4 11.5c0 1.2.2 2 2 2M10 2.5c1.8 0 2 .8 2 2 0 1.6 0 2.8 1.8 3.5C12 8.7 12 9.9 12 11.5c0 1.2-.2 2-2 2",
  pulse: "M1.5 8.5h3l2-5 3 9 2-4h3",
} as const;

export type IconName = keyof typeof PATHS;

/** Decoration: what it means is said by the word beside it or by the label of the control around it. */
export function Icon({ name, size = 16, style }: { name: IconName; size?: number; style?: CSSProperties }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth={1.5}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
      style={{ flex: "none", ...style }}
    >
      <path d={PATHS[name]} />
    </svg>
  );
}

/** Numbers as people read them. Everything here is pure; the exact value belongs in a title or a copy button. */

const NBSP = "\u00a0";

/** Three significant digits, without trailing zeros: 1.24, 12.4, 124. */
function significant(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const text = value.toFixed(digits);
  return digits === 0 ? text : text.replace(/\.?0+$/, "");
}

/** A duration in nanoseconds: `850 ns`, `12.4 µs`, `12.4 ms`, `1.24 s`, `2 m 05 s`, `3 h 12 m`, `2 d 4 h`. */
export function formatDuration(ns: number): string {
  if (!Number.isFinite(ns)) return "–";
  if (ns < 0) return `-${formatDuration(-ns)}`;
  const scales: [number, string][] = [
    [1, "ns"],
    [1e3, "µs"],
    [1e6, "ms"],
    [1e9, "s"],
  ];
  for (const [scale, unit] of scales) {
    const limit = unit === "s" ? 60 : 999.5;
    if (ns / scale < limit) return `${unit === "ns" ? Math.round(ns) : significant(ns / scale)}${NBSP}${unit}`;
  }
  const seconds = Math.round(ns / 1e9);
  if (seconds < 3600)
    return `${Math.floor(seconds / 60)}${NBSP}m${NBSP}${String(seconds % 60).padStart(2, "0")}${NBSP}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1440)
    return `${Math.floor(minutes / 60)}${NBSP}h${NBSP}${String(minutes % 60).padStart(2, "0")}${NBSP}m`;
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)}${NBSP}d${NBSP}${hours % 24}${NBSP}h`;
}

/** The exact duration: `12,345,678 ns`. */
export function exactDuration(ns: number): string {
  return `${ns.toLocaleString("en-US")} ns`;
}

const UNITS: Record<string, number> = { ns: 1, us: 1e3, µs: 1e3, μs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** Reads a Go duration (`150ms`, `1m30s`, `1.5h`) into nanoseconds; `null` when it is none. */
export function parseDuration(text: string): number | null {
  const compact = text.trim();
  if (!/^(\d+(\.\d+)?(ns|us|µs|μs|ms|s|m|h))+$/.test(compact)) return null;
  let total = 0;
  for (const [, number, , unit] of compact.matchAll(/(\d+(\.\d+)?)(ns|us|µs|μs|ms|s|m|h)/g)) {
    total += Number(number) * (UNITS[unit ?? ""] ?? 0);
  }
  return Math.round(total);
}

/** A count: `950`, `12.4 k`, `3.1 M`. */
export function formatCount(value: number): string {
  const scales: [number, string][] = [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ];
  for (const [scale, unit] of scales) {
    if (value >= scale * 0.9995 && value >= 1000) return `${significant(value / scale)}${NBSP}${unit}`;
  }
  return String(Math.round(value));
}

/** A count in full: `50,000`. */
export function exactCount(value: number): string {
  return value.toLocaleString("en-US");
}

/** Bytes in decimal units: `3.1 GB`. */
export function formatBytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let index = 0;
  let scaled = value;
  while (scaled >= 999.5 && index < units.length - 1) {
    scaled /= 1000;
    index += 1;
  }
  return `${index === 0 ? Math.round(scaled) : significant(scaled)}${NBSP}${units[index]}`;
}

/** `one span`, `2 spans`: the count in full, with its noun. */
export function plural(count: number, noun: string): string {
  return `${exactCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/**
 * Moments and ranges of time. Absolute moments are `bigint` nanoseconds since the epoch, as the server has them.
 *
 * A range is kept as the user wrote it (`-1h`, `now`, an RFC 3339 time or nanoseconds), so that a relative one stays
 * relative in a link.
 */

export interface Range {
  from: string;
  to: string;
}

export const DEFAULT_RANGE: Range = { from: "-1h", to: "now" };

export const RELATIVE_RANGES: { from: string; label: string }[] = [
  { from: "-5m", label: "Last 5 minutes" },
  { from: "-15m", label: "Last 15 minutes" },
  { from: "-1h", label: "Last hour" },
  { from: "-6h", label: "Last 6 hours" },
  { from: "-24h", label: "Last 24 hours" },
  { from: "-48h", label: "Last 2 days" },
  { from: "-168h", label: "Last 7 days" },
];

const RELATIVE_UNITS: Record<string, bigint> = {
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
  d: 86_400_000_000_000n,
};

/** Reads `now`, `-90m`, nanoseconds or an RFC 3339 time; `null` when it is none of these. */
export function parseMoment(text: string, now: bigint): bigint | null {
  const trimmed = text.trim();
  if (trimmed === "now") return now;
  const relative = /^-(\d{1,6})([smhd])$/.exec(trimmed);
  if (relative) return now - BigInt(relative[1] ?? "0") * (RELATIVE_UNITS[relative[2] ?? ""] ?? 0n);
  if (/^\d{16,19}$/.test(trimmed)) return BigInt(trimmed);
  if (!/^\d{4}-\d{2}-\d{2}/.test(trimmed)) return null;
  const fraction = /\.(\d{1,9})/.exec(trimmed)?.[1] ?? "";
  const millis = Date.parse(trimmed.replace(/\.\d+/, ""));
  if (Number.isNaN(millis)) return null;
  return BigInt(millis) * 1_000_000n + BigInt(fraction.padEnd(9, "0"));
}

/** Whether the range moves with the clock. Only such a range can be live. */
export function isRelative(range: Range): boolean {
  return range.to === "now";
}

/** The range in words, for the button that changes it. */
export function describeRange(range: Range): string {
  const known = RELATIVE_RANGES.find((entry) => entry.from === range.from);
  if (range.to === "now") {
    if (known) return known.label;
    const relative = /^-(\d+)([smhd])$/.exec(range.from);
    if (relative) return `Last ${relative[1]} ${relative[2]}`;
    return `Since ${shortMoment(range.from)}`;
  }
  return `${shortMoment(range.from)} – ${shortMoment(range.to)}`;
}

function shortMoment(text: string): string {
  const moment = parseMoment(text, 0n);
  return moment === null || text.startsWith("-") ? text : formatDateTime(moment).slice(5, 16);
}

const pad = (value: number, width = 2) => String(value).padStart(width, "0");

/** Local time, `2026-03-07 14:03:22.123`. */
export function formatDateTime(ns: bigint): string {
  const date = new Date(Number(ns / 1_000_000n));
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return `${day} ${formatClock(ns)}`;
}

/** Local time of day with milliseconds, `14:03:22.123`. */
export function formatClock(ns: bigint): string {
  const date = new Date(Number(ns / 1_000_000n));
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
}

/** The exact moment in UTC with nine decimals, as copied. */
export function exactMoment(ns: bigint): string {
  const seconds = ns / 1_000_000_000n;
  const rest = String(ns % 1_000_000_000n).padStart(9, "0");
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${rest}Z`;
}

/** How long ago, in one unit: `12 s ago`, `3 h ago`, `in 2 m` for a clock that runs ahead. */
export function formatAgo(ns: bigint, now: bigint): string {
  const seconds = Number((now - ns) / 1_000_000_000n);
  const size = Math.abs(seconds);
  if (size < 1) return "now";
  const text =
    size < 60
      ? `${size} s`
      : size < 3600
        ? `${Math.floor(size / 60)} m`
        : size < 86_400
          ? `${Math.floor(size / 3600)} h`
          : `${Math.floor(size / 86_400)} d`;
  return seconds < 0 ? `in ${text}` : `${text} ago`;
}

/** Reads a server time, nanoseconds as digits or RFC 3339; `null` when absent or unreadable. */
export function readMoment(text: string | null | undefined): bigint | null {
  return text ? parseMoment(text, 0n) : null;
}

/** Round tick positions (ns offsets) inside a window, at most `count` of them. */
export function timeTicks(from: number, to: number, count: number): number[] {
  const span = to - from;
  if (!(span > 0) || count < 1) return [];
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? rough;
  const ticks: number[] = [];
  for (let tick = Math.ceil(from / step) * step; tick <= to; tick += step) ticks.push(tick);
  return ticks;
}

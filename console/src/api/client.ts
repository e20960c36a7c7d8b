/** The one way the console talks to its server: JSON over same-origin requests, problems as exceptions. */

import { ApiProblem, UNREACHABLE } from "./problem";
import type { Problem } from "./schema";

type Parameters = Record<string, string | number | undefined>;

const TOKEN_KEY = "pilothouse.token";

/** The bearer token, kept for this tab only. */
export function setToken(token: string): void {
  sessionStorage.setItem(TOKEN_KEY, token);
}

function headers(): HeadersInit {
  const token = sessionStorage.getItem(TOKEN_KEY);
  return token ? { accept: "application/json", authorization: `Bearer ${token}` } : { accept: "application/json" };
}

/** How far the server's clock is ahead of the browser's, in ms; under two seconds it is taken for delay. */
let clockOffset = 0;

function readClock(response: Response): void {
  const date = Date.parse(response.headers.get("date") ?? "");
  if (Number.isNaN(date)) return;
  const offset = date - Date.now();
  clockOffset = Math.abs(offset) > 2000 ? offset : 0;
}

/** Now by the server's clock, in ns: relative ranges mean its time, not the browser's. */
export function serverNow(): bigint {
  return BigInt(Math.round(Date.now() + clockOffset)) * 1_000_000n;
}

/** How far the two clocks are apart, in ms; 0 when they agree. */
export function clockSkew(): number {
  return clockOffset;
}

/** Path and query, leaving out what is empty. */
export function apiPath(path: string, parameters: Parameters = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

/** Reads one JSON answer. Throws `ApiProblem`, or lets an abort through. */
export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, { headers: headers(), signal, credentials: "same-origin" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiProblem(UNREACHABLE);
  }
  readClock(response);
  if (!response.ok) throw new ApiProblem(await readProblem(response));
  return (await response.json()) as T;
}

async function readProblem(response: Response): Promise<Problem> {
  const fallback = { title: response.statusText || `HTTP ${response.status}`, status: response.status };
  try {
    const body: unknown = await response.json();
    if (typeof body === "object" && body !== null && "title" in body) return { ...fallback, ...(body as Problem) };
  } catch {
    // Not a problem document: a proxy answered, or the answer was cut off.
  }
  return { ...fallback, request_id: response.headers.get("x-request-id") ?? undefined };
}

/** What the console asks the server, each question once: its key, its request and how long the answer stays good. */

import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";
import { parseMoment, type Range } from "../ui/time";
import { apiPath, getJson, serverNow } from "./client";
import { ApiProblem } from "./problem";
import type { ColumnarTrace, Keys, Operations, SearchPage, ServerStatus, Services, SpanDetail, Values } from "./schema";

/** Retries what passes by itself; a refusal stays a refusal. */
export function retry(failures: number, error: Error): boolean {
  return error instanceof ApiProblem && error.passing && failures < 2;
}

export const statusQuery = queryOptions({
  queryKey: ["status"],
  queryFn: ({ signal }) => getJson<ServerStatus>("/api/status", signal),
  refetchInterval: (query) => (query.state.status === "error" ? 2000 : 5000),
  retry: false,
  staleTime: 0,
});

export const servicesQuery = queryOptions({
  queryKey: ["traces", "services"],
  queryFn: async ({ signal }) => (await getJson<Services>("/api/traces/services", signal)).services,
  staleTime: 10_000,
});

export function operationsQuery(service: string) {
  return queryOptions({
    queryKey: ["traces", "operations", service],
    queryFn: async ({ signal }) => {
      const path = apiPath("/api/traces/operations", { service });
      return (await getJson<Operations>(path, signal)).operations;
    },
    staleTime: 10_000,
  });
}

export function keysQuery(prefix: string, service: string, range: Range, enabled: boolean) {
  return queryOptions({
    queryKey: ["traces", "keys", prefix, service, range],
    queryFn: async ({ signal }) =>
      (await getJson<Keys>(apiPath("/api/traces/keys", { prefix, service, start: range.from, end: range.to }), signal))
        .keys,
    staleTime: 30_000,
    placeholderData: keepPreviousData,
    retry: false,
    enabled,
  });
}

export function valuesQuery(key: string, prefix: string, service: string, range: Range, enabled: boolean) {
  return queryOptions({
    queryKey: ["traces", "values", key, prefix, service, range],
    queryFn: async ({ signal }) => {
      const path = apiPath("/api/traces/values", { key, prefix, service, start: range.from, end: range.to });
      return (await getJson<Values>(path, signal)).values;
    },
    staleTime: 30_000,
    retry: false,
    enabled: enabled && key !== "",
  });
}

export interface SearchQuestion {
  service?: string;
  operation?: string;
  status?: string;
  min?: string;
  max?: string;
  filter?: string;
}

const PAGE_SIZE = 50;

/** Where a page begins. The bounds are fixed by the first page, so that later ones neither skip nor repeat. */
interface PageStart {
  start: string;
  end: string;
  cursor: string;
}

export function searchQuery(question: SearchQuestion, range: Range, live: boolean) {
  return infiniteQueryOptions({
    queryKey: ["traces", "search", question, range, live],
    initialPageParam: null as PageStart | null,
    queryFn: async ({ signal, pageParam }) => {
      const bounds = pageParam ?? fixBounds(range);
      const path = apiPath("/api/traces/search", {
        service: question.service,
        operation: question.operation,
        status: question.status,
        minDuration: question.min,
        maxDuration: question.max,
        filter: question.filter,
        start: bounds.start,
        end: bounds.end,
        cursor: bounds.cursor,
        limit: PAGE_SIZE,
      });
      const page = await getJson<SearchPage>(path, signal);
      return { ...page, bounds };
    },
    getNextPageParam: (page) => (page.next ? { ...page.bounds, cursor: page.next } : undefined),
    refetchInterval: live ? 5000 : false,
    staleTime: live ? 0 : 30_000,
  });
}

function fixBounds(range: Range): PageStart {
  const now = serverNow();
  const fixed = (text: string) => parseMoment(text, now)?.toString() ?? text;
  return { start: fixed(range.from), end: fixed(range.to), cursor: "" };
}

export function traceQuery(traceId: string) {
  return queryOptions({
    queryKey: ["traces", "trace", traceId],
    queryFn: ({ signal }) => getJson<ColumnarTrace>(`/api/traces/${encodeURIComponent(traceId)}`, signal),
    staleTime: 60_000,
    // Traces are large; do not keep many that nobody looks at.
    gcTime: 60_000,
    structuralSharing: false,
  });
}

export function spanQuery(traceId: string, spanId: string) {
  return queryOptions({
    queryKey: ["traces", "span", traceId, spanId],
    queryFn: ({ signal }) =>
      getJson<SpanDetail>(`/api/traces/${encodeURIComponent(traceId)}/spans/${encodeURIComponent(spanId)}`, signal),
    staleTime: 60_000,
    enabled: spanId !== "",
  });
}

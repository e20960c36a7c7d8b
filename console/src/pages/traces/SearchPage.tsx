/** Which traces match? Filters in one row, then the newest first, as many as are scrolled to. */

import { Button, Skeleton } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { getRouteApi, useElementScrollRestoration } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo, useRef } from "react";
import { ApiProblem } from "../../api/problem";
import { searchQuery, statusQuery } from "../../api/queries";
import type { TraceSummary } from "../../api/schema";
import { rangeOf } from "../../app/urlState";
import { exactCount } from "../../ui/format";
import { PartialBadge, ProblemState, StaleBadge } from "../../ui/states";
import { useKeys } from "../../ui/useKeys";
import { VirtualList } from "../../ui/VirtualList";
import { filterFault } from "./filterFault";
import { NoMatch, NoSpans } from "./SearchEmpty";
import { SearchFilters } from "./SearchFilters";
import css from "./SearchPage.module.css";
import { SearchTools } from "./SearchTools";
import { countFilters, readSearchSearch, type SearchState } from "./searchState";
import { TraceRow, TraceRowHeader } from "./TraceRow";

const route = getRouteApi("/traces/search");
const SCROLL_ID = "traces-search";

export function SearchPage() {
  const search = route.useSearch();
  const { live } = search;
  const question = readSearchSearch({ ...search });
  const navigate = route.useNavigate();
  const range = rangeOf(search);
  const answer = useInfiniteQuery(searchQuery(question, range, live === "1"));
  const status = useQuery(statusQuery);
  const filterField = useRef<HTMLInputElement>(null);
  const traces = useMemo(() => answer.data?.pages.flatMap((page) => page.traces) ?? [], [answer.data]);
  const warnings = useMemo(() => [...new Set(answer.data?.pages.flatMap((page) => page.warnings))], [answer.data]);
  const set = useCallback(
    (change: SearchState) => void navigate({ search: (previous) => ({ ...previous, ...change }) }),
    [navigate],
  );
  useArrivals(status.data?.store.spans, traces.length === 0 && answer.isSuccess, answer.refetch);
  useKeys({ "/": () => filterField.current?.focus() });

  const fault = answer.error instanceof ApiProblem ? filterFault(answer.error.problem, question.filter ?? "") : null;
  const neverSpans = status.data?.store.spans === 0 && countFilters(question) === 0;
  return (
    <div className={css.page}>
      <h1 className="ph-hidden">Search traces</h1>
      <SearchFilters state={question} range={range} onChange={set} fault={fault} filterField={filterField} />
      <div className={css.tools}>
        <span role="status">
          {answer.isLoadingError ? "" : countWords(traces.length, answer.hasNextPage, answer.isPending)}
        </span>
        <PartialBadge warnings={warnings} />
        {answer.isRefetchError && <StaleBadge since={answer.dataUpdatedAt} />}
        <SearchTools state={question} range={range} traces={traces} updatedAt={answer.dataUpdatedAt} />
      </div>
      {answer.isPending ? (
        <Loading />
      ) : answer.data === undefined ? (
        <ProblemState error={answer.error} onRetry={() => void answer.refetch()} />
      ) : traces.length > 0 ? (
        <Results traces={traces} answer={answer} />
      ) : neverSpans ? (
        <NoSpans status={status.data} />
      ) : (
        <NoMatch
          state={question}
          range={range}
          status={status.data}
          onClear={set}
          onRange={(back) => void navigate({ search: (previous) => ({ ...previous, from: back, to: undefined }) })}
        />
      )}
    </div>
  );
}

/** An empty page fills by itself: it asks again whenever the store has grown. */
function useArrivals(stored: number | undefined, empty: boolean, refetch: () => unknown): void {
  const before = useRef(stored);
  useEffect(() => {
    if (empty && before.current !== undefined && stored !== before.current) refetch();
    before.current = stored;
  }, [stored, empty, refetch]);
}

function countWords(count: number, more: boolean, pending: boolean): string {
  if (pending) return "Searching…";
  if (count === 0) return "No traces";
  return `${exactCount(count)}${more ? "+" : ""} ${count === 1 ? "trace" : "traces"}, newest match first`;
}

interface ResultsProps {
  traces: TraceSummary[];
  answer: {
    hasNextPage: boolean;
    isFetchingNextPage: boolean;
    isFetchNextPageError: boolean;
    fetchNextPage: () => unknown;
  };
}

function Results({ traces, answer }: ResultsProps) {
  const navigate = route.useNavigate();
  const narrow = useMediaQuery("(max-width: 900px)", false, { getInitialValueInEffect: false });
  const restored = useElementScrollRestoration({ id: SCROLL_ID });
  const longest = useMemo(() => typicalMaximum(traces), [traces]);
  const { hasNextPage, isFetchingNextPage, isFetchNextPageError, fetchNextPage } = answer;
  const more = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage && !isFetchNextPageError) fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, isFetchNextPageError, fetchNextPage]);
  const traceAt = (index: number) => traces[index] as TraceSummary;
  return (
    <VirtualList
      label="Traces"
      count={traces.length}
      rowHeight={narrow ? 60 : 32}
      keyOf={(index) => traceAt(index).traceId}
      row={(index) => <TraceRow trace={traceAt(index)} longest={longest} narrow={narrow} />}
      header={narrow ? undefined : <TraceRowHeader />}
      footer={
        <div className={css.end}>
          {isFetchNextPageError ? (
            <Button variant="default" onClick={() => fetchNextPage()}>
              More could not be loaded. Try again
            </Button>
          ) : hasNextPage ? (
            <Button variant="subtle" loading={isFetchingNextPage} onClick={() => fetchNextPage()}>
              Load more
            </Button>
          ) : (
            "These are all."
          )}
        </div>
      }
      onEnd={more}
      onOpen={(index) => void navigate({ to: "/traces/$traceId", params: { traceId: traceAt(index).traceId } })}
      scrollId={SCROLL_ID}
      initialOffset={restored?.scrollY}
    />
  );
}

/** The 95th percentile of the durations: one outlier must not flatten every other bar. */
function typicalMaximum(traces: TraceSummary[]): number {
  const durations = traces.map((trace) => trace.durationNs).sort((a, b) => a - b);
  return Math.max(1, durations[Math.floor((durations.length - 1) * 0.95)] ?? 1);
}

function Loading() {
  return (
    <div className={css.loading} data-state="loading" role="status" aria-label="Searching">
      {Array.from({ length: 16 }, (_, index) => (
        <Skeleton key={index} height={14} width={`${96 - ((index * 7) % 30)}%`} animate={index < 1} />
      ))}
    </div>
  );
}

/** What happened in this trace? The waterfall, and the details of one span beside it. */

import { Button, Skeleton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { traceQuery } from "../../api/queries";
import { Icon } from "../../ui/Icon";
import { ProblemState } from "../../ui/states";
import { buildTree } from "../../ui/waterfall/tree";
import css from "./TracePage.module.css";
import { TraceView } from "./TraceView";

const route = getRouteApi("/traces/$traceId");

export function TracePage() {
  const { traceId } = route.useParams();
  const answer = useQuery(traceQuery(traceId));
  const tree = useMemo(() => (answer.data ? buildTree(answer.data) : null), [answer.data]);
  if (tree) {
    const stale = answer.isRefetchError ? answer.dataUpdatedAt : null;
    return <TraceView key={traceId} tree={tree} staleSince={stale} onRefresh={() => void answer.refetch()} />;
  }
  if (answer.isPending) return <Loading />;
  return (
    <>
      <h1 className="ph-hidden">Trace</h1>
      <ProblemState error={answer.error} onRetry={() => void answer.refetch()} />
      <div className={css.back}>
        <Button component={Link} to="/traces/search" variant="subtle" leftSection={<Icon name="search" size={14} />}>
          Back to the search
        </Button>
      </div>
    </>
  );
}

function Loading() {
  return (
    <div className={css.loading} data-state="loading" role="status" aria-label="Loading the trace">
      <Skeleton height={22} width={360} maw="80%" />
      <Skeleton height={14} width={560} maw="95%" />
      <Skeleton height={57} mt={12} />
      {Array.from({ length: 14 }, (_, index) => (
        <Skeleton key={index} height={12} ml={(index % 5) * 12} width={`${90 - ((index * 11) % 40)}%`} />
      ))}
    </div>
  );
}

/** A search without results: either nothing was ever sent, or nothing matches. Both end in a next step. */

import { Button } from "@mantine/core";
import { useState } from "react";
import { serverNow } from "../../api/client";
import type { ServerStatus } from "../../api/schema";
import { exactCount } from "../../ui/format";
import { CodeBlock, EmptyState } from "../../ui/states";
import css from "../../ui/states.module.css";
import { describeRange, formatAgo, type Range, readMoment } from "../../ui/time";
import { countFilters, NO_FILTERS, type SearchState } from "./searchState";
import { firstSpanCommand, sdkEnvironment } from "./snippets";

export function NoSpans({ status }: { status: ServerStatus | undefined }) {
  const [seed] = useState(() => crypto.getRandomValues(new Uint8Array(24)));
  if (!status) return null;
  return (
    <EmptyState
      title="No spans have arrived yet"
      text="Search shows the traces of your services, newest first. Send a first span from any terminal on this machine:"
    >
      <CodeBlock label="command" code={firstSpanCommand(status.listeners, seed)} />
      <p className={css.text}>Or point any OpenTelemetry SDK here, and this page fills by itself:</p>
      <CodeBlock label="environment" code={sdkEnvironment(status.listeners)} />
      <p className={css.text}>Or let a small shop of services do the talking:</p>
      <CodeBlock label="demo command" code="pilothouse demo" />
    </EmptyState>
  );
}

interface NoMatchProps {
  state: SearchState;
  range: Range;
  status: ServerStatus | undefined;
  onClear: (change: SearchState) => void;
  /** Looks further back. */
  onRange: (from: string) => void;
}

export function NoMatch({ state, range, status, onClear, onRange }: NoMatchProps) {
  const filters = countFilters(state);
  const newest = readMoment(status?.store.newest);
  const held = status ? `The store holds ${exactCount(status.store.spans)} spans` : "";
  const age = newest === null ? "" : `, the newest ${formatAgo(newest, serverNow())}`;
  return (
    <EmptyState
      title={filters > 0 ? "No trace matches" : "No traces in this range"}
      text={`${describeRange(range)}${filters > 0 ? `, with ${filters} ${filters === 1 ? "filter" : "filters"}` : ""}. ${held}${held && age}${held && "."}`}
    >
      <div className={css.actions}>
        {filters > 0 && (
          <Button variant="default" onClick={() => onClear(NO_FILTERS)}>
            Clear the filters
          </Button>
        )}
        {["-6h", "-24h", "-168h"]
          .filter((from) => from !== range.from)
          .map((from) => (
            <Button key={from} variant="default" onClick={() => onRange(from)}>
              {describeRange({ from, to: "now" })}
            </Button>
          ))}
      </div>
    </EmptyState>
  );
}

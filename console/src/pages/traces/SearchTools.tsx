import { Button, Menu } from "@mantine/core";
import type { TraceSummary } from "../../api/schema";
import { CopyButton, copyText } from "../../ui/Copy";
import { Icon } from "../../ui/Icon";
import { exactMoment, formatClock, type Range } from "../../ui/time";
import css from "./SearchPage.module.css";
import { type SearchState, searchCommand } from "./searchState";

interface SearchToolsProps {
  state: SearchState;
  range: Range;
  traces: TraceSummary[];
  updatedAt: number;
}

/** When the list was made, and ways to take it elsewhere. */
export function SearchTools({ state, range, traces, updatedAt }: SearchToolsProps) {
  const copy = (text: string) => void copyText(text);
  return (
    <div className={css.actions}>
      {updatedAt > 0 && (
        <span className={css.asOf}>as of {formatClock(BigInt(updatedAt) * 1_000_000n).slice(0, 8)}</span>
      )}
      <Menu position="bottom-end">
        <Menu.Target>
          <Button variant="default" disabled={traces.length === 0} leftSection={<Icon name="copy" size={14} />}>
            Copy
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item onClick={() => copy(JSON.stringify(traces, null, 2))}>As JSON</Menu.Item>
          <Menu.Item onClick={() => copy(asTable(traces))}>As a table</Menu.Item>
          <Menu.Item onClick={() => copy(location.href)}>Link to this search</Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <CopyButton text={searchCommand(state, range)} label="Same in the terminal" icon="terminal" />
    </div>
  );
}

/** Tab-separated, with exact values: pastes into a spreadsheet. */
function asTable(traces: TraceSummary[]): string {
  const clean = (text: string) => text.replace(/[\t\r\n]+/g, " ");
  const rows = traces.map((trace) =>
    [
      trace.traceId,
      exactMoment(BigInt(trace.start)),
      trace.durationNs,
      clean(trace.rootService),
      clean(trace.rootOperation),
      trace.spanCount,
      trace.errorCount,
    ].join("\t"),
  );
  return [["trace", "start", "duration_ns", "service", "operation", "spans", "errors"].join("\t"), ...rows].join("\n");
}

import { ActionIcon, Button, Menu, Tooltip } from "@mantine/core";
import { useMemo } from "react";
import { CopyIcon, copyText } from "../../ui/Copy";
import { exactDuration, formatDuration, plural } from "../../ui/format";
import { Icon } from "../../ui/Icon";
import { ServiceTag } from "../../ui/Service";
import { PartialBadge, StaleBadge } from "../../ui/states";
import { exactMoment, formatDateTime } from "../../ui/time";
import type { SpanTree } from "../../ui/waterfall/tree";
import css from "./TracePage.module.css";

interface TraceHeaderProps {
  tree: SpanTree;
  staleSince: number | null;
  onRefresh: () => void;
  /** Finds the spans of a service. */
  onService: (name: string) => void;
}

/** What the trace is: its root, its size, who took part, and what is missing from it. */
export function TraceHeader({ tree, staleSince, onRefresh, onService }: TraceHeaderProps) {
  const { trace } = tree;
  const start = BigInt(trace.start);
  const rootService = tree.services[tree.service[0] ?? 0] ?? "";
  const rootName = trace.names[trace.spans.name[0] ?? 0] ?? "";
  const orphans = trace.spans.orphan.filter(Boolean).length;
  const missing = [
    ...(trace.truncated ? [`Only the first spans of this trace are shown: it is larger than the server's limit.`] : []),
    ...(orphans > 0 ? [`${plural(orphans, "span")} whose parent was not received: shown as roots of their own.`] : []),
    ...trace.warnings,
  ];
  return (
    <header className={css.header}>
      <div className={css.titleRow}>
        <h1 className={css.title} title={`${rootService}: ${rootName}`.slice(0, 4500)}>
          <ServiceTag name={rootService} />
          <bdi className="ph-clip">{rootName}</bdi>
        </h1>
        <TraceActions tree={tree} onRefresh={onRefresh} />
      </div>
      <div className={css.facts}>
        <strong title={exactDuration(trace.durationNs)}>{formatDuration(trace.durationNs)}</strong>
        <span>{plural(tree.count, "span")}</span>
        <span>{plural(tree.services.length, "service")}</span>
        <span title={exactMoment(start)}>{formatDateTime(start)}</span>
        <span className={css.id}>
          <code className="ph-mono ph-clip">{trace.traceId}</code>
          <CopyIcon text={trace.traceId} label="Copy trace id" />
        </span>
        <PartialBadge warnings={missing} title={trace.truncated ? "Truncated" : undefined} />
        {staleSince !== null && <StaleBadge since={staleSince} />}
        <Services tree={tree} onService={onService} />
      </div>
    </header>
  );
}

function Services({ tree, onService }: { tree: SpanTree; onService: (name: string) => void }) {
  const counts = useMemo(() => {
    const spans = new Int32Array(tree.services.length);
    const errors = new Int32Array(tree.services.length);
    for (let index = 0; index < tree.count; index += 1) {
      const service = tree.service[index] ?? 0;
      spans[service] = (spans[service] ?? 0) + 1;
      errors[service] = (errors[service] ?? 0) + (tree.error[index] ?? 0);
    }
    return tree.services
      .map((name, index) => ({ name, spans: spans[index] ?? 0, errors: errors[index] ?? 0 }))
      .filter(({ spans }) => spans > 0)
      .sort((a, b) => b.spans - a.spans);
  }, [tree]);
  return (
    <span className={css.services}>
      {counts.slice(0, 12).map(({ name, spans, errors }) => (
        <button key={name} type="button" onClick={() => onService(name)}>
          <ServiceTag name={name} count={spans} errors={errors} />
        </button>
      ))}
      {counts.length > 12 && (
        <span
          title={counts
            .slice(12)
            .map(({ name }) => name)
            .join(", ")}
        >
          +{counts.length - 12}
        </span>
      )}
    </span>
  );
}

function TraceActions({ tree, onRefresh }: { tree: SpanTree; onRefresh: () => void }) {
  const { traceId } = tree.trace;
  const copy = (text: string) => void copyText(text);
  return (
    <div className={css.actions}>
      <Tooltip label="Ask again: late spans may have arrived">
        <ActionIcon aria-label="Load the trace again" onClick={onRefresh}>
          <Icon name="refresh" />
        </ActionIcon>
      </Tooltip>
      <Menu position="bottom-end">
        <Menu.Target>
          <Button variant="default" leftSection={<Icon name="copy" size={14} />}>
            Copy
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item onClick={() => copy(location.href)}>Link to this view</Menu.Item>
          <Menu.Item onClick={() => copy(traceId)}>Trace id</Menu.Item>
          <Menu.Item onClick={() => copy(`pilothouse traces show ${traceId}`)}>Command for the terminal</Menu.Item>
          <Menu.Item onClick={() => download(`trace-${traceId}.json`, JSON.stringify(tree.trace, null, 1))}>
            Download as JSON
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
    </div>
  );
}

function download(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

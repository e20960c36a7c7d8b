/** Everything about one span, beside the waterfall (or as a sheet from below on a narrow screen). */

import { ActionIcon, SegmentedControl, Skeleton, Tooltip } from "@mantine/core";
import { useLocalStorage } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { spanQuery } from "../../api/queries";
import type { SpanDetail } from "../../api/schema";
import { CopyIcon } from "../../ui/Copy";
import { exactDuration, formatDuration } from "../../ui/format";
import { Icon } from "../../ui/Icon";
import { ServiceTag } from "../../ui/Service";
import { CodeBlock, ProblemState } from "../../ui/states";
import { exactMoment } from "../../ui/time";
import type { SpanTree } from "../../ui/waterfall/tree";
import { Attributes, Section } from "./Attributes";
import { EventList, LinkList } from "./EventsAndLinks";
import css from "./SpanPanel.module.css";

export type PanelTab = "details" | "json";

/** `SpanKind` by number (OTLP trace.proto). */
const KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"];

/** Names beyond this may need more than the three lines they get. */
const LONG_NAME = 80;

interface SpanPanelProps {
  tree: SpanTree;
  index: number;
  tab: PanelTab;
  onTab: (tab: PanelTab) => void;
  onClose: () => void;
  onSpan: (spanId: string) => void;
}

export function SpanPanel({ tree, index, tab, onTab, onClose, onSpan }: SpanPanelProps) {
  const { trace } = tree;
  const spanId = trace.spans.spanId[index] ?? "";
  const detail = useQuery(spanQuery(trace.traceId, spanId));
  const [width, setWidth] = useLocalStorage({ key: "pilothouse.span-panel", defaultValue: 460 });
  const service = tree.services[tree.service[index] ?? 0] ?? "";
  const name = trace.names[trace.spans.name[index] ?? 0] ?? "";
  return (
    <aside className={css.panel} aria-label="Span" style={{ "--panel": `${width}px` } as React.CSSProperties}>
      <Grip width={width} onWidth={setWidth} />
      <header className={css.header}>
        <div className={css.titles}>
          <ServiceTag name={service} />
          {/* A long name scrolls, so the keyboard must reach it. */}
          <h2 className={css.name} tabIndex={name.length > LONG_NAME ? 0 : undefined}>
            <bdi>{name}</bdi>
          </h2>
        </div>
        <Tooltip label="Close (Esc)">
          <ActionIcon aria-label="Close the span" onClick={onClose}>
            <Icon name="close" />
          </ActionIcon>
        </Tooltip>
      </header>
      <div className={css.summary}>
        <Status code={trace.spans.status[index] ?? 0} />
        <strong title={exactDuration(tree.duration[index] ?? 0)}>{formatDuration(tree.duration[index] ?? 0)}</strong>
        <span title={exactMoment(BigInt(trace.start) + BigInt(Math.round(tree.start[index] ?? 0)))}>
          at {formatDuration(tree.start[index] ?? 0)}
        </span>
        <span>{KINDS[trace.spans.kind[index] ?? 0] ?? "unknown kind"}</span>
        <span className={css.id}>
          <code className="ph-mono">{spanId}</code>
          <CopyIcon text={spanId} label="Copy span id" />
        </span>
        <SegmentedControl
          size="xs"
          className={css.tabs}
          aria-label="Show"
          value={tab}
          onChange={(value) => onTab(value)}
          data={[
            { value: "details", label: "Details" },
            { value: "json", label: "JSON" },
          ]}
        />
      </div>
      <div className={css.content} tabIndex={0}>
        {detail.data ? (
          tab === "json" ? (
            <CodeBlock code={JSON.stringify(detail.data, null, 2)} label="span as JSON" />
          ) : (
            <Details span={detail.data} trace={trace.traceId} onSpan={onSpan} />
          )
        ) : detail.isError ? (
          <ProblemState error={detail.error} onRetry={() => void detail.refetch()} />
        ) : (
          <Loading />
        )}
      </div>
    </aside>
  );
}

function Details({ span, trace, onSpan }: { span: SpanDetail; trace: string; onSpan: (spanId: string) => void }) {
  const { resource, scope } = span;
  return (
    <>
      {span.statusMessage && (
        <p className={css.message} data-error={span.status === 2}>
          {span.statusMessage}
        </p>
      )}
      {span.warnings.map((warning) => (
        <p key={warning} className={css.warning}>
          <Icon name="warning" size={13} />
          {warning}
        </p>
      ))}
      <Section title="Attributes" count={span.attributes.length} dropped={span.droppedAttributes}>
        <Attributes attributes={span.attributes} />
      </Section>
      {span.events.length + span.droppedEvents > 0 && (
        <Section title="Events" count={span.events.length} dropped={span.droppedEvents}>
          <EventList events={span.events} spanStart={BigInt(span.startTimeUnixNano)} />
        </Section>
      )}
      {span.links.length + span.droppedLinks > 0 && (
        <Section title="Links" count={span.links.length} dropped={span.droppedLinks}>
          <LinkList links={span.links} traceId={trace} onSpan={onSpan} />
        </Section>
      )}
      <Section title="Resource" count={resource.attributes.length}>
        <Attributes attributes={resource.attributes} level="resource" />
      </Section>
      {(scope.name || scope.version || scope.attributes.length > 0) && (
        <Section
          title="Scope"
          count={scope.attributes.length}
          note={[scope.name, scope.version].filter(Boolean).join(" ")}
        >
          <Attributes attributes={scope.attributes} level="scope" />
        </Section>
      )}
      <Section title="Identity">
        <dl className={css.identity}>
          <Identity name="Parent span" value={span.parentSpanId} onSpan={onSpan} />
          <Identity name="Start" value={exactMoment(BigInt(span.startTimeUnixNano))} />
          <Identity name="End" value={exactMoment(BigInt(span.endTimeUnixNano))} />
          <Identity name="Trace state" value={span.traceState} />
          <Identity name="Flags" value={span.flags ? `0x${span.flags.toString(16)}` : ""} />
          <Identity name="Resource schema" value={resource.schemaUrl} />
          <Identity name="Scope schema" value={scope.schemaUrl} />
        </dl>
      </Section>
    </>
  );
}

function Identity({ name, value, onSpan }: { name: string; value: string; onSpan?: (spanId: string) => void }) {
  if (!value) return null;
  return (
    <>
      <dt>{name}</dt>
      <dd>
        {onSpan ? (
          <button type="button" className={css.go} onClick={() => onSpan(value)}>
            {value}
          </button>
        ) : (
          <bdi>{value}</bdi>
        )}
        <CopyIcon text={value} label={`Copy ${name.toLowerCase()}`} size={18} />
      </dd>
    </>
  );
}

function Status({ code }: { code: number }) {
  if (code === 2) {
    return (
      <span className={css.status} data-level="bad">
        <Icon name="error" size={13} /> Error
      </span>
    );
  }
  if (code === 1) {
    return (
      <span className={css.status} data-level="good">
        <Icon name="check" size={13} /> OK
      </span>
    );
  }
  return <span className={css.status}>Unset</span>;
}

/** The edge that sets the panel's width. */
function Grip({ width, onWidth }: { width: number; onWidth: (width: number) => void }) {
  const clamp = (value: number) => Math.max(320, Math.min(window.innerWidth * 0.7, value));
  return (
    <div
      className={css.grip}
      role="separator"
      aria-orientation="vertical"
      aria-label="Width of the span panel"
      aria-valuenow={Math.round(width)}
      aria-valuemin={320}
      aria-valuemax={1200}
      tabIndex={0}
      onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
      onPointerMove={(event) => {
        if (event.currentTarget.hasPointerCapture(event.pointerId)) onWidth(clamp(window.innerWidth - event.clientX));
      }}
      onKeyDown={(event) => {
        const step = { ArrowLeft: 20, ArrowRight: -20 }[event.key];
        if (step) onWidth(clamp(width + step));
      }}
    />
  );
}

function Loading() {
  return (
    <div className={css.loading} data-state="loading" role="status" aria-label="Loading the span">
      {Array.from({ length: 8 }, (_, index) => (
        <Skeleton key={index} height={12} width={`${88 - ((index * 13) % 40)}%`} />
      ))}
    </div>
  );
}

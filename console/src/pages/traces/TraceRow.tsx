import { Link } from "@tanstack/react-router";
import type { TraceSummary } from "../../api/schema";
import { exactDuration, formatDuration, plural } from "../../ui/format";
import { Icon } from "../../ui/Icon";
import { ServiceTag } from "../../ui/Service";
import { formatDateTime } from "../../ui/time";
import css from "./TraceRow.module.css";

interface TraceRowProps {
  trace: TraceSummary;
  /** The longest duration in the list: the full width of a bar, in ns. */
  longest: number;
  narrow: boolean;
}

export function TraceRowHeader() {
  return (
    <div className={`${css.row} ${css.header}`} aria-hidden="true">
      <span>Started</span>
      <span>Root</span>
      <span>Services</span>
      <span className={css.number}>Spans</span>
      <span className={css.number}>Errors</span>
      <span>Duration</span>
    </div>
  );
}

/** A whole trace in one row; on a narrow screen, in two lines. */
export function TraceRow({ trace, longest, narrow }: TraceRowProps) {
  const started = formatDateTime(BigInt(trace.start));
  return (
    <Link
      to="/traces/$traceId"
      params={{ traceId: trace.traceId }}
      className={`${css.row} ${narrow ? css.narrow : ""}`}
      data-errors={trace.errorCount > 0}
      aria-label={describe(trace, started)}
      preload={false}
    >
      <span className={css.start} title={started}>
        {started.slice(5, 19)}
        {!narrow && <span className={css.millis}>{started.slice(19)}</span>}
      </span>
      <Root trace={trace} />
      <Services trace={trace} shown={narrow ? 2 : 4} />
      <span className={css.number}>
        {trace.spanCount.toLocaleString("en-US")}
        {narrow && <span className={css.unit}> spans</span>}
      </span>
      <span className={`${css.number} ${css.errors}`}>
        {trace.errorCount > 0 && (
          <>
            <Icon name="error" size={13} />
            {trace.errorCount.toLocaleString("en-US")}
          </>
        )}
      </span>
      <span className={css.duration} title={exactDuration(trace.durationNs)}>
        <span className={css.track}>
          <span className={css.bar} style={{ width: `${Math.max(0.6, (trace.durationNs / longest) * 100)}%` }} />
        </span>
        <span className={css.value}>{formatDuration(trace.durationNs)}</span>
      </span>
    </Link>
  );
}

function Root({ trace }: { trace: TraceSummary }) {
  if (!trace.rootService && !trace.rootOperation) {
    return <span className={`${css.root} ${css.missing}`}>root span not received</span>;
  }
  return (
    <span className={css.root} title={`${trace.rootService}: ${trace.rootOperation}`}>
      <ServiceTag name={trace.rootService} />
      <bdi className="ph-clip">{trace.rootOperation}</bdi>
      {trace.orphanCount > 0 && (
        <span className={css.orphans} title={`${plural(trace.orphanCount, "span")} whose parent was not received`}>
          <Icon name="warning" size={13} />
        </span>
      )}
    </span>
  );
}

function Services({ trace, shown }: { trace: TraceSummary; shown: number }) {
  const services = [...trace.services].sort((a, b) => b.errorCount - a.errorCount || b.spanCount - a.spanCount);
  const rest = services.length - shown;
  return (
    <span className={css.services}>
      {services.slice(0, shown).map((service) => (
        <span key={service.name} className={css.chip} data-errors={service.errorCount > 0}>
          <ServiceTag name={service.name} count={service.spanCount} errors={service.errorCount} />
        </span>
      ))}
      {rest > 0 && (
        <span
          className={css.rest}
          title={services
            .slice(shown)
            .map(({ name }) => name)
            .join(", ")}
        >
          +{rest}
        </span>
      )}
    </span>
  );
}

function describe(trace: TraceSummary, started: string): string {
  const root = trace.rootOperation ? `${trace.rootService}: ${trace.rootOperation}` : "root span not received";
  const facts = [
    plural(trace.spanCount, "span"),
    plural(trace.errorCount, "error"),
    formatDuration(trace.durationNs),
    started,
  ];
  return `${root.slice(0, 200)}, ${facts.join(", ")}`;
}

import { Link } from "@tanstack/react-router";
import type { TraceSummary } from "../../api/schema";
import { exactCount, exactDuration, formatDuration, plural } from "../../ui/format";
import { Icon } from "../../ui/Icon";
import { ServiceTag } from "../../ui/Service";
import { formatDateTime } from "../../ui/time";
import css from "./TraceRow.module.css";

interface TraceRowProps {
  trace: TraceSummary;
  /** The duration at the full width of a bar, in ns; longer ones are marked as such. */
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
      preload={false}
    >
      <span className={css.start} title={started}>
        {started.slice(5, 19)}
        {!narrow && <span className={css.millis}>{started.slice(19)}</span>}
      </span>
      <Root trace={trace} />
      <Services trace={trace} />
      <span className={css.number}>
        {exactCount(trace.spanCount)}
        <span className={narrow ? undefined : "ph-hidden"}> {trace.spanCount === 1 ? "span" : "spans"}</span>
      </span>
      <span className={`${css.number} ${css.errors}`}>
        {trace.errorCount > 0 && (
          <>
            <Icon name="error" size={13} />
            {exactCount(trace.errorCount)}
            <span className="ph-hidden"> errors</span>
          </>
        )}
      </span>
      <span className={css.duration} title={exactDuration(trace.durationNs)}>
        <span className={css.track}>
          <span
            className={css.bar}
            data-over={trace.durationNs > longest}
            style={{ width: `${Math.max(0.6, Math.min(1, trace.durationNs / longest) * 100)}%` }}
          />
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

/** How many took part, then as many names as fit, the troubled ones first. */
function Services({ trace }: { trace: TraceSummary }) {
  const services = [...trace.services].sort((a, b) => b.errorCount - a.errorCount || b.spanCount - a.spanCount);
  const all = services.map(({ name, spanCount }) => `${name.slice(0, 80)} ${spanCount}`).join("\n");
  return (
    <span className={css.services} title={all.slice(0, 2000)}>
      <span className={css.several}>{services.length}</span>
      <span className={css.chips}>
        {services.slice(0, 8).map((service) => (
          <span key={service.name} className={css.chip} data-errors={service.errorCount > 0}>
            <ServiceTag name={service.name} />
          </span>
        ))}
      </span>
    </span>
  );
}

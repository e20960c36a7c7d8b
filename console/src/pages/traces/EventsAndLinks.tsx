import { Link } from "@tanstack/react-router";
import type { SpanEvent, SpanLink } from "../../api/schema";
import { CopyIcon } from "../../ui/Copy";
import { formatDuration } from "../../ui/format";
import { Icon } from "../../ui/Icon";
import { exactMoment } from "../../ui/time";
import { Attributes } from "./Attributes";
import css from "./Attributes.module.css";

/** Events in time order, each with how long after the start of the span it happened. */
export function EventList({ events, spanStart }: { events: SpanEvent[]; spanStart: bigint }) {
  return (
    <ul className={css.list}>
      {events.map((event, index) => {
        const moment = BigInt(event.timeUnixNano);
        return (
          <li key={index} className={css.event}>
            <div className={css.eventHead}>
              <bdi>{event.name || "unnamed event"}</bdi>
              <span title={exactMoment(moment)}>at {formatDuration(Number(moment - spanStart))}</span>
            </div>
            {event.attributes.length > 0 && <Attributes attributes={event.attributes} level="none" />}
            {event.droppedAttributes > 0 && (
              <p className={css.none}>{event.droppedAttributes} attributes dropped by the sender</p>
            )}
          </li>
        );
      })}
    </ul>
  );
}

interface LinkListProps {
  links: SpanLink[];
  traceId: string;
  onSpan: (spanId: string) => void;
}

/** Links to other spans: within the trace they move the cursor, elsewhere they open that trace at that span. */
export function LinkList({ links, traceId, onSpan }: LinkListProps) {
  return (
    <ul className={css.list}>
      {links.map((link, index) => (
        <li key={index} className={css.event}>
          <div className={css.eventHead}>
            <Icon name="link" size={13} />
            {link.traceId === traceId ? (
              <button type="button" className={css.link} onClick={() => onSpan(link.spanId)}>
                span {link.spanId}
              </button>
            ) : (
              <Link
                to="/traces/$traceId"
                params={{ traceId: link.traceId }}
                search={{ span: link.spanId, find: undefined, view: undefined, fold: undefined }}
                className={css.link}
                preload={false}
              >
                trace {link.traceId.slice(0, 8)}… span {link.spanId}
              </Link>
            )}
            <CopyIcon text={link.traceId} label="Copy the linked trace id" size={20} />
          </div>
          {link.traceState && <p className={css.none}>trace state {link.traceState}</p>}
          {link.attributes.length > 0 && <Attributes attributes={link.attributes} level="none" />}
        </li>
      ))}
    </ul>
  );
}

import { memo } from "react";
import { exactCount, formatDuration } from "../format";
import { Icon } from "../Icon";
import { seriesColor } from "../palette";
import { barExtent, hasChildren, type SpanTree } from "./tree";
import css from "./Waterfall.module.css";

interface WaterfallRowProps {
  tree: SpanTree;
  index: number;
  folded: boolean;
  from: number;
  to: number;
  cursor: boolean;
  selected: boolean;
  hit: boolean;
  names: number;
  onSelect: (index: number) => void;
  onFold: (index: number) => void;
}

const INDENT = 12;

/** One span. Only what changes about it makes it render again: 50,000 of these are scrolled through. */
export const WaterfallRow = memo(function WaterfallRow(props: WaterfallRowProps) {
  const { tree, index, folded, from, to, cursor, selected, hit, names, onSelect, onFold } = props;
  const { trace } = tree;
  const service = tree.services[tree.service[index] ?? 0] ?? "";
  const operation = trace.names[trace.spans.name[index] ?? 0] ?? "";
  const parent = tree.parent[index] ?? -1;
  const sameService = parent >= 0 && tree.service[parent] === tree.service[index];
  const error = tree.error[index] === 1;
  const depth = tree.depth[index] ?? 0;
  // Beyond what fits, deeper spans indent no further; their level is said in words instead.
  const room = Math.max(2, Math.floor((names - 150) / INDENT));
  const indent = Math.min(depth, room) * INDENT;
  return (
    <div
      className={css.row}
      data-cursor={cursor}
      data-selected={selected}
      data-error={error}
      onClick={() => onSelect(index)}
    >
      <div className={css.name}>
        <span className={css.guides} style={{ width: indent }} />
        <Toggle tree={tree} index={index} folded={folded} onFold={onFold} />
        <span className={css.swatch} style={{ background: seriesColor(service) }} />
        {depth > room && <span className={css.level}>{depth}</span>}
        <span className={css.label} title={`${service}: ${operation}`.slice(0, 4500)}>
          {!sameService && <bdi className={css.service}>{service}</bdi>}
          <bdi className={hit ? css.hit : undefined}>{operation}</bdi>
        </span>
        {error && (
          <span className={css.error} title="Error">
            <Icon name="error" size={13} />
            <span className="ph-hidden">error</span>
          </span>
        )}
        {trace.spans.orphan[index] && (
          <span className={css.orphan} title="The parent of this span was not received">
            <Icon name="warning" size={13} />
            <span className="ph-hidden">parent not received</span>
          </span>
        )}
      </div>
      <Bar
        start={tree.start[index] ?? 0}
        duration={tree.duration[index] ?? 0}
        from={from}
        to={to}
        color={seriesColor(service)}
      />
    </div>
  );
});

function Toggle({ tree, index, folded, onFold }: Pick<WaterfallRowProps, "tree" | "index" | "folded" | "onFold">) {
  if (!hasChildren(tree, index)) return <span className={css.toggle} />;
  const below = (tree.end[index] ?? 0) - index - 1;
  const errors = tree.errorsBelow[index] ?? 0;
  return (
    <span
      className={css.toggle}
      data-folded={folded}
      data-errors={folded && errors > 0}
      title={folded ? `${exactCount(below)} spans below, ${exactCount(errors)} with errors` : undefined}
      onClick={(event) => {
        event.stopPropagation();
        onFold(index);
      }}
    >
      <Icon name={folded ? "expand" : "down"} size={12} />
      {folded && <span className={css.below}>{exactCount(below)}</span>}
    </span>
  );
}

interface BarProps {
  start: number;
  duration: number;
  from: number;
  to: number;
  color: string;
}

function Bar({ start, duration, from, to, color }: BarProps) {
  const { left, width } = barExtent(start, duration, { from, to });
  const right = left + width;
  const side = right < 78 ? "after" : left > 22 ? "before" : "inside";
  const place = {
    after: { left: `${right}%` },
    before: { right: `${100 - left}%` },
    inside: { left: `${Math.max(left, 0)}%` },
  }[side];
  const seen = right >= 0 && left <= 100;
  return (
    <div className={css.time}>
      {seen && (
        <>
          <span className={css.bar} style={{ left: `${left}%`, width: `${width}%`, background: color }} />
          <span className={css.value} data-side={side} style={place}>
            {formatDuration(duration)}
          </span>
        </>
      )}
      {!seen && <span className={css.beyond} data-side={right < 0 ? "before" : "after"} />}
    </div>
  );
}

import { seriesColor } from "./palette";
import css from "./Service.module.css";

/** A service's name beside its colour, which it keeps on every page. */
export function ServiceTag({ name, count, errors = 0 }: { name: string; count?: number; errors?: number }) {
  return (
    <span className={css.tag} title={count === undefined ? name : `${name}: ${count} spans, ${errors} errors`}>
      <span className={css.swatch} style={{ background: seriesColor(name) }} />
      <bdi className="ph-clip">{name || "unnamed service"}</bdi>
      {count !== undefined && <span className={css.count}>{count}</span>}
    </span>
  );
}

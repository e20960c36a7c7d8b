import { ActionIcon, Skeleton, Tooltip } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { statusQuery } from "../api/queries";
import { Icon } from "../ui/Icon";
import { railOf } from "./planes";
import css from "./Rail.module.css";

interface RailProps {
  collapsed: boolean;
  onToggle?: () => void;
  onNavigate?: () => void;
}

/** The planes of this server and what each has to open. */
export function Rail({ collapsed, onToggle, onNavigate }: RailProps) {
  const { data } = useQuery(statusQuery);
  return (
    <nav className={css.rail} data-collapsed={collapsed} aria-label="Planes">
      {onToggle && (
        <div className={css.brand}>
          <Link to="/" className={css.logo} aria-label="Pilothouse">
            <img src="/favicon.svg" alt="" width={20} height={20} />
            {!collapsed && <span>Pilothouse</span>}
          </Link>
        </div>
      )}
      <div className={css.planes}>
        {!data && <Skeleton height={24} width={collapsed ? 28 : 140} m={12} />}
        {railOf(data?.capabilities ?? []).map((plane) => (
          <section key={plane.name} aria-label={plane.title}>
            <h2 className={css.plane}>
              <Icon name={plane.name} size={14} />
              {!collapsed && plane.title}
            </h2>
            {plane.entries.map(({ title, summary, page }) => (
              <Tooltip key={page.to} label={collapsed ? title : summary || title} position="right">
                <Link
                  to={page.to}
                  search={{}}
                  className={css.entry}
                  activeProps={{ className: css.active }}
                  onClick={onNavigate}
                >
                  <Icon name={page.icon} />
                  <span className={collapsed ? "ph-hidden" : undefined}>{title}</span>
                </Link>
              </Tooltip>
            ))}
          </section>
        ))}
      </div>
      {onToggle && (
        <div className={css.foot}>
          {!collapsed && <span className="ph-clip">{data ? data.version : ""}</span>}
          <Tooltip label={collapsed ? "Expand" : "Collapse"} position="right">
            <ActionIcon aria-label={collapsed ? "Expand the rail" : "Collapse the rail"} onClick={onToggle}>
              <Icon name={collapsed ? "expand" : "collapse"} />
            </ActionIcon>
          </Tooltip>
        </div>
      )}
    </nav>
  );
}

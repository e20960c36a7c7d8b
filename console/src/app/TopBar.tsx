import { ActionIcon, Tooltip, UnstyledButton, useComputedColorScheme, useMantineColorScheme } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useMatches } from "@tanstack/react-router";
import { useEffect } from "react";
import { statusQuery } from "../api/queries";
import { Icon } from "../ui/Icon";
import { TimeRange } from "../ui/TimeRange";
import { StatusDot } from "./StatusDot";
import css from "./TopBar.module.css";

const PALETTE_KEYS = /Mac/.test(navigator.userAgent) ? "⌘K" : "Ctrl K";

interface TopBarProps {
  onMenu: () => void;
  onPalette: () => void;
  onHelp: () => void;
}

export function TopBar({ onMenu, onPalette, onHelp }: TopBarProps) {
  const page = useMatches({ select: (matches) => matches.at(-1)?.staticData });
  return (
    <header className={css.bar}>
      <ActionIcon className={css.menu} aria-label="Open the menu" onClick={onMenu}>
        <Icon name="menu" />
      </ActionIcon>
      <Breadcrumb title={page?.title} capability={page?.capability} />
      <UnstyledButton
        className={css.palette}
        onClick={onPalette}
        aria-label={`Go to… ${PALETTE_KEYS}: the command palette`}
      >
        <Icon name="search" size={14} />
        <span>Go to…</span>
        <kbd>{PALETTE_KEYS}</kbd>
      </UnstyledButton>
      {page?.usesRange && <TimeRange />}
      <Tooltip label="Keyboard shortcuts (?)">
        <ActionIcon className={css.wide} aria-label="Keyboard shortcuts" onClick={onHelp}>
          <Icon name="keyboard" />
        </ActionIcon>
      </Tooltip>
      <ThemeSwitch />
      <StatusDot />
    </header>
  );
}

function Breadcrumb({ title, capability }: { title?: string; capability?: string }) {
  const { data } = useQuery(statusQuery);
  const room =
    data?.capabilities.find(({ name }) => name === capability)?.title ?? (capability === "traces" ? "Traces" : "");
  useEffect(() => {
    document.title = title ? `${title} · Pilothouse` : "Pilothouse";
  }, [title]);
  return (
    <nav className={css.crumbs} aria-label="Breadcrumb">
      {room && (
        <>
          <Link to="/traces/search" search={{}}>
            {room}
          </Link>
          <span aria-hidden="true">/</span>
        </>
      )}
      <span aria-current="page">{title}</span>
    </nav>
  );
}

function ThemeSwitch() {
  const { setColorScheme } = useMantineColorScheme();
  const other = useComputedColorScheme("dark") === "dark" ? "light" : "dark";
  return (
    <Tooltip label={`Switch to ${other}`}>
      <ActionIcon aria-label={`Switch to the ${other} theme`} onClick={() => setColorScheme(other)}>
        <Icon name={other === "light" ? "sun" : "moon"} />
      </ActionIcon>
    </Tooltip>
  );
}

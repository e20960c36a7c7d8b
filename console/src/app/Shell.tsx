/** The frame around every page: rail, top bar, content, and the palette and help that open over them. */

import { Drawer } from "@mantine/core";
import { useDisclosure, useHotkeys, useLocalStorage } from "@mantine/hooks";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Outlet, useMatches } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useRef } from "react";
import { statusQuery } from "../api/queries";
import { EmptyState } from "../ui/states";
import { useKeys } from "../ui/useKeys";
import { Rail } from "./Rail";
import css from "./Shell.module.css";
import { TopBar } from "./TopBar";

const CommandPalette = lazy(() => import("./CommandPalette"));
const Shortcuts = lazy(() => import("./Shortcuts"));

export function Shell() {
  const [collapsed, setCollapsed] = useLocalStorage({ key: "pilothouse.rail-collapsed", defaultValue: false });
  const [sheet, sheetControl] = useDisclosure(false);
  const [palette, paletteControl] = useDisclosure(false);
  const [help, helpControl] = useDisclosure(false);
  useRecovery();
  useHotkeys([["mod+K", paletteControl.open]], []);
  useKeys({ "?": helpControl.open });
  return (
    <div className={css.shell} data-collapsed={collapsed}>
      <a className={css.skip} href="#content">
        Skip to content
      </a>
      <aside className={css.rail}>
        <Rail collapsed={collapsed} onToggle={() => setCollapsed(!collapsed)} />
      </aside>
      <TopBar onMenu={sheetControl.open} onPalette={paletteControl.open} onHelp={helpControl.open} />
      <main id="content" className={css.content} tabIndex={-1}>
        <Page />
      </main>
      <Drawer
        opened={sheet}
        onClose={sheetControl.close}
        size={260}
        padding={0}
        title="Pilothouse"
        closeButtonProps={{ "aria-label": "Close the menu" }}
        classNames={{ header: css.sheetHeader }}
      >
        <Rail collapsed={false} onNavigate={sheetControl.close} />
      </Drawer>
      <Suspense>
        {palette && <CommandPalette onClose={paletteControl.close} />}
        {help && <Shortcuts onClose={helpControl.close} />}
      </Suspense>
    </div>
  );
}

/** The page, once it is known that the server has what it is about. */
function Page() {
  const capability = useMatches({ select: (matches) => matches.at(-1)?.staticData.capability });
  const { data } = useQuery(statusQuery);
  if (capability && data && !data.capabilities.some(({ name }) => name === capability)) {
    return (
      <EmptyState
        title={`This server has no ${capability}`}
        text={`Pilothouse ${data.version} runs without the capability “${capability}”, so this page has nothing to show.`}
      />
    );
  }
  return <Outlet />;
}

/** When the server is back after being away, everything on the page is asked again. */
function useRecovery(): void {
  const client = useQueryClient();
  const { isError } = useQuery(statusQuery);
  const wasAway = useRef(false);
  useEffect(() => {
    if (wasAway.current && !isError) {
      void client.invalidateQueries({ predicate: (query) => query.queryKey[0] !== "status" });
    }
    wasAway.current = isError;
  }, [isError, client]);
}

/** The planes of the house and the pages this console has for each capability a server may report. */

import type { CapabilityInfo } from "../api/schema";
import type { IconName } from "../ui/Icon";

export interface Page {
  title: string;
  to: "/traces/search";
  icon: IconName;
}

export const PLANES: { name: IconName; title: string }[] = [
  { name: "observe", title: "Observe" },
  { name: "secure", title: "Secure" },
  { name: "operate", title: "Operate" },
  { name: "measure", title: "Measure" },
  { name: "assist", title: "Assist" },
  { name: "learn", title: "Learn" },
];

const PAGES: Record<string, Page[]> = {
  traces: [{ title: "Search", to: "/traces/search", icon: "traces" }],
};

export interface RailPlane {
  name: IconName;
  title: string;
  entries: { title: string; summary: string; page: Page }[];
}

/**
 * The rail for a server: a plane for each that has something to open. A capability with one page is that page; one
 * with several shows each. What the server does not report, or this console has no page for, is not offered.
 */
export function railOf(capabilities: CapabilityInfo[]): RailPlane[] {
  return PLANES.map(({ name, title }) => ({
    name,
    title,
    entries: capabilities
      .filter((capability) => capability.plane === name)
      .flatMap((capability) => {
        const pages = PAGES[capability.name] ?? [];
        return pages.map((page) => ({
          title: pages.length === 1 ? capability.title : page.title,
          summary: capability.summary,
          page,
        }));
      }),
  })).filter((plane) => plane.entries.length > 0);
}

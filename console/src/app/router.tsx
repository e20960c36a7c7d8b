/** Every address of the console. Pages load when they are first opened; what they read from the URL is checked here. */

import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
  retainSearchParams,
} from "@tanstack/react-router";
import { readSearchSearch } from "../pages/traces/searchState";
import { readTraceSearch } from "../pages/traces/traceState";
import { NotFound, PageError } from "./PageError";
import { Shell } from "./Shell";
import { parseSearch, readRangeSearch, stringifySearch } from "./urlState";

const rootRoute = createRootRoute({
  component: Shell,
  validateSearch: readRangeSearch,
  search: { middlewares: [retainSearchParams(["from", "to", "live"])] },
});

const homeRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: "/",
  beforeLoad: () => {
    redirect({ to: "/traces/search", replace: true, throw: true });
  },
});

const tracesRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: "/traces",
  beforeLoad: () => {
    redirect({ to: "/traces/search", replace: true, throw: true });
  },
});

const searchRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: "/traces/search",
  validateSearch: readSearchSearch,
  component: lazyRouteComponent(() => import("../pages/traces/SearchPage"), "SearchPage"),
  staticData: { title: "Search", capability: "traces", usesRange: true },
});

const traceRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: "/traces/$traceId",
  validateSearch: readTraceSearch,
  component: lazyRouteComponent(() => import("../pages/traces/TracePage"), "TracePage"),
  staticData: { title: "Trace", capability: "traces", usesRange: false },
});

const routeTree = rootRoute.addChildren([homeRoute, tracesRoute, searchRoute, traceRoute]);

export function createConsoleRouter() {
  return createRouter({
    routeTree,
    parseSearch,
    stringifySearch,
    defaultPreload: "intent",
    defaultErrorComponent: PageError,
    defaultNotFoundComponent: NotFound,
    scrollRestoration: true,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof createConsoleRouter>;
  }
  interface StaticDataRouteOption {
    /** Last part of the breadcrumb and of the window title. */
    title?: string;
    /** The capability a server must report for the page to work. */
    capability?: string;
    /** Whether the range of time in the top bar means something here. */
    usesRange?: boolean;
  }
}

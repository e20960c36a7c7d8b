/**
 * The shapes the server answers with, under the names the pages use. They are generated: `openapi.json` is the server's
 * own document, `types.ts` is made from it by `npm run generate-types`.
 *
 * Times are nanoseconds: absolute ones are decimal text (they do not fit a double), differences are numbers.
 */

import type { components } from "./types";

type Schemas = components["schemas"];

export type ServerStatus = Schemas["StatusReply"];
export type Listener = Schemas["Address"];
export type CapabilityInfo = Schemas["CapabilityInfo"];
export type Services = Schemas["Services"];
export type Operations = Schemas["Operations"];
export type Keys = Schemas["Keys"];
export type Values = Schemas["Values"];
export type TraceSummary = Schemas["Summary"];
export type SearchPage = Schemas["Page"];
export type ColumnarTrace = Schemas["TraceView"];
export type SpanDetail = Schemas["SpanDetail"];
export type SpanEvent = Schemas["EventView"];
export type SpanLink = Schemas["LinkView"];
export type Attribute = Schemas["Attribute"];
export type TypedValue = Omit<Attribute, "key">;

/** RFC 9457 problem details. What the console makes up itself has no type. */
export type Problem = Omit<Schemas["Problem"], "type" | "detail"> & { type?: string; detail?: string };

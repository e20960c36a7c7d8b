/** OTLP values as text: what is shown and copied. */

import type { Attribute, TypedValue } from "../../api/schema";

/** A scalar as it stands; bytes as base64; arrays and key-value lists as JSON of their contents. */
export function valueText({ type, value }: TypedValue): string {
  switch (type) {
    case "empty":
      return "";
    case "array":
    case "kvlist":
      return JSON.stringify(plain({ type, value }), null, 1);
    default:
      return String(value);
  }
}

/** The value without its types, for JSON. Integers JSON cannot hold exactly stay text. */
function plain({ type, value }: TypedValue): unknown {
  switch (type) {
    case "empty":
      return null;
    case "int": {
      const number = Number(value);
      return Number.isSafeInteger(number) ? number : String(value);
    }
    case "array":
      return Array.isArray(value) ? value.map((item: TypedValue) => plain(item)) : [];
    case "kvlist":
      return Array.isArray(value) ? Object.fromEntries(value.map((item: Attribute) => [item.key, plain(item)])) : {};
    default:
      return value;
  }
}

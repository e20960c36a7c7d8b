import { Tooltip } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import type { Attribute, TypedValue } from "../../api/schema";
import { CopyIcon } from "../../ui/Copy";
import { quoteKey, quoteWord } from "../../ui/filter";
import { exactCount } from "../../ui/format";
import { Icon } from "../../ui/Icon";
import css from "./Attributes.module.css";
import type { SearchState } from "./searchState";
import { valueText } from "./values";

/** Longer texts show their beginning until asked. */
const LONG = 600;

interface SectionProps {
  title: string;
  count?: number;
  /** How many the sender dropped. */
  dropped?: number;
  note?: string;
  children: ReactNode;
}

export function Section({ title, count, dropped = 0, note, children }: SectionProps) {
  return (
    <details className={css.section} open>
      <summary>
        <Icon name="expand" size={12} />
        {title}
        {count !== undefined && <span>{exactCount(count)}</span>}
        {note && <bdi className="ph-clip">{note}</bdi>}
        {dropped > 0 && <em>{exactCount(dropped)} dropped by the sender</em>}
      </summary>
      {children}
    </details>
  );
}

interface AttributesProps {
  attributes: Attribute[];
  /** Where they belong, for searching; absent where a search cannot name them. */
  level?: "span" | "resource" | "scope" | "none";
}

/** Keys and typed values, each to copy and to search for. */
export function Attributes({ attributes, level = "span" }: AttributesProps) {
  if (attributes.length === 0) return <p className={css.none}>None</p>;
  return (
    <ul className={css.list}>
      {attributes.map((attribute) => (
        <li key={attribute.key} className={css.row}>
          <bdi className={css.key}>{attribute.key}</bdi>
          <Value value={attribute} />
          <span className={css.actions}>
            {(level === "span" || level === "resource") && <SearchFor attribute={attribute} />}
            <CopyIcon text={valueText(attribute)} label={`Copy ${attribute.key.slice(0, 80)}`} size={20} />
          </span>
        </li>
      ))}
    </ul>
  );
}

/** The text of a value as text, whatever it holds: markup in it stays what it is, characters. */
function Value({ value }: { value: TypedValue }) {
  const [all, setAll] = useState(false);
  const text = valueText(value);
  const cut = !all && text.length > LONG;
  return (
    <span className={css.value}>
      {value.type === "empty" ? <i>empty</i> : <bdi>{cut ? `${text.slice(0, LONG)}…` : text}</bdi>}
      {value.type !== "string" && value.type !== "empty" && <span className={css.type}>{value.type}</span>}
      {cut && (
        <button type="button" className={css.more} onClick={() => setAll(true)}>
          Show all {exactCount(text.length)} characters
        </button>
      )}
    </span>
  );
}

/** The search that finds spans with this value; `null` for values a filter cannot hold. */
export function searchFor(attribute: Attribute): SearchState | null {
  if (!["string", "bool", "int", "double"].includes(attribute.type)) return null;
  const text = valueText(attribute);
  if (text.length > 1000) return null;
  if (attribute.key === "service.name") return { service: text };
  return { filter: `${quoteKey(attribute.key)} = ${quoteWord(text)}` };
}

function SearchFor({ attribute }: { attribute: Attribute }) {
  const target = searchFor(attribute);
  if (!target) return null;
  const label = `Search for ${attribute.key.slice(0, 80)}`;
  return (
    <Tooltip label="Search for this">
      <Link to="/traces/search" search={target} preload={false} className={css.search} aria-label={label}>
        <Icon name="search" size={12} />
      </Link>
    </Tooltip>
  );
}

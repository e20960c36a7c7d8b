import { SegmentedControl, Select, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type RefObject, useState } from "react";
import { keysQuery, operationsQuery, servicesQuery, valuesQuery } from "../../api/queries";
import { FilterInput, type Suggestion } from "../../ui/FilterInput";
import { type Completion, type Fault, OPERATORS, quoteKey, quoteWord, WELL_KNOWN } from "../../ui/filter";
import { formatCount, parseDuration } from "../../ui/format";
import type { Range } from "../../ui/time";
import css from "./SearchPage.module.css";
import type { SearchState } from "./searchState";

interface SearchFiltersProps {
  state: SearchState;
  range: Range;
  onChange: (change: SearchState) => void;
  fault: Fault | null;
  filterField: RefObject<HTMLInputElement | null>;
}

/** Everything a search can ask, in one row. */
export function SearchFilters({ state, range, onChange, fault, filterField }: SearchFiltersProps) {
  const services = useQuery(servicesQuery);
  const operations = useQuery(operationsQuery(state.service ?? ""));
  const useSuggestions = (at: Completion, open: boolean) => useFilterSuggestions(at, open, state.service ?? "", range);
  return (
    <search className={css.filters} aria-label="Traces">
      <Choice
        label="Service"
        value={state.service}
        options={services.data?.map(({ name }) => name) ?? []}
        onChange={(service) => onChange({ service, operation: undefined })}
      />
      <Choice
        label="Operation"
        value={state.operation}
        options={operations.data?.map(({ name }) => name) ?? []}
        onChange={(operation) => onChange({ operation })}
      />
      <SegmentedControl
        size="xs"
        aria-label="Status"
        className={css.status}
        value={state.status ?? ""}
        onChange={(status) => onChange({ status: status || undefined })}
        data={[
          { value: "", label: "Any" },
          { value: "error", label: "Error" },
          { value: "ok", label: "OK" },
        ]}
      />
      <DurationField label="Min" placeholder="≥ 100ms" value={state.min} onChange={(min) => onChange({ min })} />
      <DurationField label="Max" placeholder="≤ 10s" value={state.max} onChange={(max) => onChange({ max })} />
      <div className={css.filter}>
        <FilterInput
          value={state.filter ?? ""}
          onSubmit={(filter) => onChange({ filter: filter || undefined })}
          useSuggestions={useSuggestions}
          fault={fault}
          inputRef={filterField}
        />
      </div>
    </search>
  );
}

interface ChoiceProps {
  label: string;
  value: string | undefined;
  options: string[];
  onChange: (value: string | undefined) => void;
}

/** One of the names the server knows, or the one in the address even when it knows it no more. */
function Choice({ label, value, options, onChange }: ChoiceProps) {
  const names = [...new Set(value ? [value, ...options] : options)];
  return (
    <Select
      className={css.choice}
      aria-label={label}
      placeholder={`${label}: any`}
      data={names}
      value={value ?? null}
      onChange={(next) => onChange(next ?? undefined)}
      searchable
      clearable
      limit={200}
      maxDropdownHeight={360}
      nothingFoundMessage="Nothing by that name"
      comboboxProps={{ width: "max-content", position: "bottom-start", transitionProps: { duration: 80 } }}
      classNames={{ dropdown: css.dropdown }}
    />
  );
}

interface DurationFieldProps {
  label: string;
  placeholder: string;
  value: string | undefined;
  onChange: (value: string | undefined) => void;
}

function DurationField({ label, placeholder, value, onChange }: DurationFieldProps) {
  const [text, setText] = useState(value ?? "");
  const [seen, setSeen] = useState(value);
  if (value !== seen) {
    setSeen(value);
    setText(value ?? "");
  }
  const wrong = text.trim() !== "" && parseDuration(text) === null;
  const commit = () => {
    if (!wrong && (text.trim() || undefined) !== value) onChange(text.trim() || undefined);
  };
  return (
    <TextInput
      className={css.duration}
      aria-label={`${label} duration`}
      placeholder={placeholder}
      title="Of a matching span: 250us, 100ms, 1.5s, 2m"
      error={wrong}
      value={text}
      onChange={(event) => setText(event.currentTarget.value)}
      onBlur={commit}
      onKeyDown={(event) => {
        if (event.key === "Enter") commit();
        if (event.key === "Escape") event.currentTarget.blur();
      }}
    />
  );
}

/** Keys and values come from the server; operators and connectives from the grammar. */
function useFilterSuggestions(at: Completion, open: boolean, service: string, range: Range): Suggestion[] {
  const keys = useQuery(keysQuery(at.prefix, service, range, open && at.expects === "key"));
  const values = useQuery(valuesQuery(at.key, at.prefix, service, range, open && at.expects === "value"));
  switch (at.expects) {
    case "key":
      return [
        ...WELL_KNOWN.filter((name) => name.startsWith(at.prefix)).map((name) => ({
          insert: name,
          label: name,
          hint: "built in",
        })),
        ...(keys.data ?? []).slice(0, 50).map(({ key, level, types, count }) => ({
          insert: quoteKey(key),
          label: key,
          hint: [level, types.join(" "), count > 0 ? formatCount(count) : ""].filter(Boolean).join(" · "),
        })),
      ];
    case "value":
      return (values.data ?? []).slice(0, 50).map(({ value, type, count }) => ({
        insert: quoteWord(value),
        label: value,
        hint: [type, count > 0 ? formatCount(count) : ""].filter(Boolean).join(" · "),
      }));
    case "operator":
      return [...OPERATORS, "exists"]
        .filter((operator) => operator.startsWith(at.prefix))
        .map((operator) => ({ insert: operator, label: operator, hint: OPERATOR_WORDS[operator] ?? "" }));
    case "connective":
      return ["and", "or"]
        .filter((word) => word.startsWith(at.prefix.toLowerCase()))
        .map((word) => ({ insert: word, label: word, hint: "" }));
  }
}

const OPERATOR_WORDS: Record<string, string> = {
  "=": "equals",
  "!=": "differs",
  ">": "more than",
  ">=": "at least",
  "<": "less than",
  "<=": "at most",
  "~": "matches the pattern",
  "!~": "does not match",
  exists: "has a value",
};

/** The one-line editor of the filter language: colours, completion from the server, mistakes underlined at the place. */

import { useDebouncedValue } from "@mantine/hooks";
import { type KeyboardEvent, type RefObject, useEffect, useRef, useState } from "react";
import css from "./FilterInput.module.css";
import { applyCompletion, type Completion, checkFilter, completionAt, type Fault, lexFilter } from "./filter";
import { Icon } from "./Icon";

export interface Suggestion {
  /** What is put into the text, quoted as it must be. */
  insert: string;
  label: string;
  hint: string;
}

interface FilterInputProps {
  value: string;
  onSubmit: (text: string) => void;
  /** Suggestions for a place in the text; called as a hook on every render. */
  useSuggestions: (at: Completion, open: boolean) => Suggestion[];
  /** What the server found wrong with `value`. */
  fault?: Fault | null;
  inputRef?: RefObject<HTMLInputElement | null>;
}

export function FilterInput({ value, onSubmit, useSuggestions, fault, inputRef }: FilterInputProps) {
  const [text, setText] = useState(value);
  const [caret, setCaret] = useState(value.length);
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const [checked, setChecked] = useState(true);
  const own = useRef<HTMLInputElement>(null);
  const input = inputRef ?? own;
  const backdrop = useRef<HTMLDivElement>(null);
  const [place] = useDebouncedValue({ text, caret }, 120);
  const at = completionAt(place.text, place.caret);
  const suggestions = useSuggestions(at, open);
  const current = text === value ? (fault ?? null) : null;
  const mistake = checked ? (checkFilter(text) ?? current) : lexFilter(text).fault;

  const [seen, setSeen] = useState(value);
  if (value !== seen) {
    setSeen(value);
    setText(value);
    setChecked(true);
  }

  const put = (suggestion: Suggestion) => {
    const next = applyCompletion(text, completionAt(text, caret), suggestion.insert);
    setText(next.text);
    setCaret(next.caret);
    setActive(-1);
    requestAnimationFrame(() => input.current?.setSelectionRange(next.caret, next.caret));
  };
  const submit = () => {
    setOpen(false);
    setChecked(true);
    if (!checkFilter(text)) onSubmit(text.trim());
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const chosen = suggestions[active];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      if (!open) setOpen(true);
      else if (suggestions.length > 0)
        setActive((active + step + suggestions.length + (active < 0 && step < 0 ? 1 : 0)) % suggestions.length);
    } else if (event.key === "Enter") {
      if (open && chosen) put(chosen);
      else submit();
    } else if (event.key === "Tab" && open && !event.shiftKey && (chosen ?? suggestions[0])) {
      const first = chosen ?? suggestions[0];
      if (first) put(first);
    } else if (event.key === "Escape") {
      if (open) setOpen(false);
      else input.current?.blur();
    } else if (event.key === " " && event.ctrlKey) setOpen(true);
    else return;
    event.preventDefault();
  };

  return (
    <div className={css.field} data-invalid={mistake !== null && checked}>
      <Icon name="filter" size={14} />
      <div className={css.editor}>
        <div ref={backdrop} className={css.backdrop} aria-hidden="true">
          <Coloured text={text} mistake={mistake} />
        </div>
        <input
          ref={input}
          className={css.input}
          role="combobox"
          aria-label="Filter"
          aria-expanded={open && suggestions.length > 0}
          aria-controls="filter-suggestions"
          aria-autocomplete="list"
          aria-activedescendant={active >= 0 ? `filter-suggestion-${active}` : undefined}
          aria-invalid={mistake !== null && checked}
          aria-describedby={mistake ? "filter-mistake" : undefined}
          placeholder="http.status_code >= 500 and db.system exists"
          autoComplete="off"
          autoCapitalize="off"
          spellCheck={false}
          value={text}
          onChange={(event) => {
            setText(event.currentTarget.value);
            setCaret(event.currentTarget.selectionStart ?? 0);
            setOpen(true);
            setActive(-1);
            setChecked(false);
          }}
          onSelect={(event) => setCaret(event.currentTarget.selectionStart ?? 0)}
          onClick={() => setOpen(true)}
          onBlur={() => {
            setOpen(false);
            setChecked(true);
            if (text.trim() !== value && !checkFilter(text)) onSubmit(text.trim());
          }}
          onKeyDown={onKeyDown}
          onScroll={(event) => {
            if (backdrop.current) backdrop.current.scrollLeft = event.currentTarget.scrollLeft;
          }}
        />
      </div>
      {text !== "" && (
        <button type="button" className={css.clear} aria-label="Clear the filter" onClick={() => onSubmit("")}>
          <Icon name="close" size={12} />
        </button>
      )}
      {open && suggestions.length > 0 && (
        <Suggestions suggestions={suggestions} active={active} offset={at.from} onPut={put} onActive={setActive} />
      )}
      {mistake && (checked || !open) && (
        <p id="filter-mistake" className={css.mistake} role="alert">
          {mistake.message}
        </p>
      )}
    </div>
  );
}

function Coloured({ text, mistake }: { text: string; mistake: Fault | null }) {
  const parts: { from: number; to: number; className: string }[] = [];
  let end = 0;
  for (const token of lexFilter(text).tokens) {
    if (token.from > end) parts.push({ from: end, to: token.from, className: "" });
    const wrong = mistake !== null && token.from < mistake.to && mistake.from < token.to;
    parts.push({ from: token.from, to: token.to, className: `${css[token.type] ?? ""} ${wrong ? css.wrong : ""}` });
    end = token.to;
  }
  return parts.map((part) => (
    <span key={part.from} className={part.className}>
      {text.slice(part.from, part.to)}
    </span>
  ));
}

interface SuggestionsProps {
  suggestions: Suggestion[];
  active: number;
  offset: number;
  onPut: (suggestion: Suggestion) => void;
  onActive: (index: number) => void;
}

function Suggestions({ suggestions, active, offset, onPut, onActive }: SuggestionsProps) {
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    list.current?.children[active]?.scrollIntoView({ block: "nearest" });
  }, [active]);
  return (
    <div
      id="filter-suggestions"
      ref={list}
      role="listbox"
      aria-label="Suggestions"
      className={css.list}
      style={{ left: `min(calc(26px + ${offset}ch), calc(100% - 300px))` }}
    >
      {suggestions.map((suggestion, index) => (
        <div
          key={`${suggestion.insert} ${suggestion.hint}`}
          id={`filter-suggestion-${index}`}
          role="option"
          tabIndex={-1}
          aria-selected={index === active}
          className={css.option}
          onMouseDown={(event) => {
            event.preventDefault();
            onPut(suggestion);
          }}
          onMouseMove={() => onActive(index)}
        >
          <bdi className="ph-clip">{suggestion.label}</bdi>
          <span>{suggestion.hint}</span>
        </div>
      ))}
    </div>
  );
}

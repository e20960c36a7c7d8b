import { useEffect, useRef } from "react";

/** What one key does. Return `false` to let the browser have the key as well. */
export type KeyMap = Record<string, (event: KeyboardEvent) => unknown>;

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

/** Whether the key already means something to what has the focus: Enter and Space press buttons and follow links. */
function belongsToFocus(event: KeyboardEvent): boolean {
  if (event.key !== "Enter" && event.key !== " ") return false;
  return event.target instanceof Element && event.target.closest("button, a, summary, [role=option]") !== null;
}

/**
 * Single-key shortcuts of a page, by `KeyboardEvent.key`. They rest while the user types, while a dialog is open and
 * whenever a modifier is held (Shift is part of the key: `N`).
 */
export function useKeys(keys: KeyMap, enabled = true): void {
  const latest = useRef(keys);
  useEffect(() => {
    latest.current = keys;
  });
  useEffect(() => {
    if (!enabled) return;
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      const action = latest.current[event.key];
      if (!action || isTyping(event.target) || belongsToFocus(event)) return;
      if (document.querySelector("[aria-modal=true], [role=menu]")) return;
      if (action(event) !== false) event.preventDefault();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [enabled]);
}

import { useCallback, useEffect, useRef, useState } from "react";

/**
 * State that answers at once and reaches the address when it has settled: keys held down and drags would otherwise
 * navigate at every step. A change of the address from elsewhere (back, a pasted link) wins.
 *
 * `text` is what the address holds now, `read` and `write` convert, `save` puts the text there.
 */
export function useUrlBacked<T>(
  text: string | undefined,
  read: (text: string | undefined) => T,
  write: (value: T) => string | undefined,
  save: (text: string | undefined) => void,
): [T, (value: T) => void] {
  const [value, setValue] = useState(() => read(text));
  const written = useRef(text);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const latest = useRef({ read, write, save });
  useEffect(() => {
    latest.current = { read, write, save };
  });
  useEffect(() => {
    if (text === written.current) return;
    clearTimeout(timer.current);
    written.current = text;
    setValue(latest.current.read(text));
  }, [text]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const set = useCallback((next: T) => {
    setValue(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      const settled = latest.current.write(next);
      if (settled === written.current) return;
      written.current = settled;
      latest.current.save(settled);
    }, 150);
  }, []);
  return [value, set];
}

/** Text for a POSIX shell: the "same in the terminal" commands must work as they stand. */

/** Quotes one argument, leaving plain words as they are. */
export function shellQuote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A command line from its words; empty options are left out. */
export function commandLine(words: string[], options: [flag: string, value: string | undefined][]): string {
  const parts = words.map(shellQuote);
  for (const [flag, value] of options) {
    // A value that starts with a dash (-1h) would read as a flag of its own.
    if (value) parts.push(value.startsWith("-") ? `${flag}=${shellQuote(value)}` : `${flag} ${shellQuote(value)}`);
  }
  return parts.join(" ");
}

/**
 * The text filter language as an editor needs it: tokens to colour, what may come next, and where it is plainly wrong.
 *
 * The server decides what a filter means; this only follows its grammar closely enough to complete and underline:
 * `key = value`, `!=`, `>`, `>=`, `<`, `<=`, `~`, `!~`, `key exists`, `key in (a, b)`, `not`, `and`, `or`, parentheses.
 */

export type TokenType = "key" | "operator" | "value" | "keyword" | "paren" | "comma" | "bad";

export interface Token {
  type: TokenType;
  /** Half-open range in the text. */
  from: number;
  to: number;
  text: string;
}

export interface Fault {
  from: number;
  to: number;
  message: string;
}

/** What the grammar wants at a place: a key, an operator after one, a value, or a connective. */
export type Expectation = "key" | "operator" | "value" | "connective";

export interface Completion {
  expects: Expectation;
  /** The half-typed word that a choice replaces. */
  from: number;
  to: number;
  prefix: string;
  /** The key the value or operator belongs to. */
  key: string;
}

export const OPERATORS = ["=", "!=", ">", ">=", "<", "<=", "~", "!~"] as const;

/** Names that stand for a built-in field; an attribute of the same name is quoted. */
export const WELL_KNOWN = ["service", "operation", "duration", "status", "kind"] as const;

const QUOTED = `"(?:[^"\\\\]|\\\\.)*"?|'(?:[^'\\\\]|\\\\.)*'?`;
/** A key may be a level and quoted text (`span."event.name"`); a bare value may hold what operators are made of. */
const ELSEWHERE = new RegExp(
  `\\s+|(?:span|resource|scope|event|link)\\.(?:${QUOTED})|${QUOTED}|!=|>=|<=|!~|[=<>~]|[(),]|[^\\s"'()=<>~!,]+|.`,
  "suy",
);
const AT_VALUE = new RegExp(`\\s+|${QUOTED}|[(),]|[^\\s"'(),]+|.`, "suy");

interface State {
  expects: Expectation;
  key: string;
  /** Open parentheses: a group of conditions, or the list of `in`. */
  open: ("group" | "list")[];
}

interface Lexed {
  tokens: Token[];
  fault: Fault | null;
  state: State;
}

/** Removes quotes and escapes. */
export function unquote(word: string): string {
  if (!/^["']/.test(word)) return word;
  const body = word.length > 1 && word.endsWith(word[0] ?? "") ? word.slice(1, -1) : word.slice(1);
  return body.replace(/\\(["'\\])/g, "$1");
}

const PLAIN = /^[\w.:@/$%*+-]+$/;

function quoted(word: string): string {
  return `"${word.replace(/["\\]/g, "\\$&")}"`;
}

/** Writes a value so that it reads back as itself: quoted only when it must be. */
export function quoteWord(word: string): string {
  return PLAIN.test(word) && !isKeyword(word) ? word : quoted(word);
}

/** Writes an attribute's key, keeping it apart from built-in names and levels. */
export function quoteKey(key: string): string {
  const builtIn = (WELL_KNOWN as readonly string[]).includes(key) || key === "name";
  return PLAIN.test(key) && !isKeyword(key) && !builtIn && !/^(span|resource|scope|event|link)\./.test(key)
    ? key
    : quoted(key);
}

function isKeyword(word: string): boolean {
  return /^(and|or|not|exists|in)$/i.test(word);
}

/** Tokens, the first fault (a half-typed end is none until checked as finished), and the state after the last token. */
export function lexFilter(text: string): Lexed {
  const tokens: Token[] = [];
  const state: State = { expects: "key", key: "", open: [] };
  let fault: Fault | null = null;
  for (let from = 0; from < text.length;) {
    const pattern = state.expects === "value" ? AT_VALUE : ELSEWHERE;
    pattern.lastIndex = from;
    const lexeme = pattern.exec(text)?.[0] ?? text.slice(from, from + 1);
    const to = from + lexeme.length;
    if (!/^\s/.test(lexeme)) {
      const { type, message } = step(state, lexeme);
      if (message && !fault) fault = { from, to, message };
      tokens.push({ type, from, to, text: lexeme });
    }
    from = to;
  }
  return { tokens, fault, state };
}

type Step = { type: TokenType; message?: string };

function step(state: State, lexeme: string): Step {
  if (lexeme === "(" || lexeme === ")" || lexeme === ",") return punctuation(state, lexeme);
  const quote = /^[a-z]*\.?(["'])/.exec(lexeme);
  if (quote && !new RegExp(`^[^"']*${quote[1]}(?:[^\\\\]|\\\\.)*${quote[1]}$`, "s").test(lexeme)) {
    return word(state, lexeme, "the quote is not closed");
  }
  if (state.expects !== "value" && /^[=<>~!]/.test(lexeme)) return operator(state, lexeme);
  return word(state, lexeme);
}

function punctuation(state: State, lexeme: string): Step {
  if (lexeme === "(") {
    const list = state.expects === "value";
    if (!list && state.expects !== "key") return { type: "bad", message: "a group starts before a condition" };
    state.open.push(list ? "list" : "group");
    return { type: "paren" };
  }
  if (lexeme === ",") {
    if (state.open.at(-1) !== "list") return { type: "bad", message: "a comma belongs in the list of “in”" };
    state.expects = "value";
    return { type: "comma" };
  }
  if (!state.open.pop()) return { type: "bad", message: "nothing is open here" };
  state.expects = "connective";
  return { type: "paren" };
}

function operator(state: State, lexeme: string): Step {
  const known = (OPERATORS as readonly string[]).includes(lexeme);
  const ok = known && state.expects === "operator";
  state.expects = "value";
  if (!known) return { type: "bad", message: `“${lexeme}” is no operator` };
  return ok ? { type: "operator" } : { type: "bad", message: "an operator comes after a key" };
}

function word(state: State, lexeme: string, problem?: string): Step {
  const lower = lexeme.toLowerCase();
  switch (state.expects) {
    case "key":
      if (lower === "not" || lower === "exists") return { type: "keyword" };
      if (isKeyword(lexeme)) return { type: "bad", message: "a condition is missing before this" };
      state.key = unquote(lexeme);
      state.expects = "operator";
      return { type: "key", message: problem };
    case "operator":
      if (lower === "exists") {
        state.expects = "connective";
        return { type: "keyword" };
      }
      if (lower === "in") {
        state.expects = "value";
        return { type: "keyword" };
      }
      if (lower === "not") return { type: "keyword" };
      if (lower === "and" || lower === "or") {
        state.expects = "key";
        return { type: "keyword" };
      }
      return { type: "bad", message: "an operator is missing before this" };
    case "value":
      if (state.open.at(-1) !== "list") state.expects = "connective";
      return { type: "value", message: problem };
    case "connective":
      if (lower === "and" || lower === "or") {
        state.expects = "key";
        return { type: "keyword" };
      }
      return { type: "bad", message: "“and” or “or” is missing before this" };
  }
}

/** The first plain mistake in a finished text, `null` when the server should judge it. */
export function checkFilter(text: string): Fault | null {
  const { tokens, fault, state } = lexFilter(text);
  const last = tokens.at(-1);
  if (fault || !last) return fault;
  const exists = tokens.at(-2)?.text.toLowerCase() === "exists";
  if (state.expects === "operator" && !exists) return { ...span(last), message: "an operator is missing after this" };
  if (state.expects === "value" && state.open.at(-1) !== "list")
    return { ...span(last), message: "a value is missing after this" };
  if (state.expects === "key") return { ...span(last), message: "a condition is missing after this" };
  if (state.open.length > 0) return { ...span(last), message: "a closing parenthesis is missing" };
  return null;
}

function span(token: Token): { from: number; to: number } {
  return { from: token.from, to: token.to };
}

/** What may be completed at the caret. */
export function completionAt(text: string, caret: number): Completion {
  const touching = lexFilter(text).tokens.find((token) => token.from < caret && caret <= token.to);
  const replaces = touching && !["paren", "comma"].includes(touching.type) && !/^[=<>~!]/.test(touching.text);
  const from = replaces ? touching.from : caret;
  const { state } = lexFilter(text.slice(0, from));
  const prefix = replaces ? unquote(text.slice(from, caret)) : "";
  return { expects: state.expects, from, to: replaces ? touching.to : caret, prefix, key: state.key };
}

/** Puts a choice in place of the half-typed word; returns the new text and where the caret goes. */
export function applyCompletion(text: string, at: Completion, choice: string): { text: string; caret: number } {
  const rest = text.slice(at.to);
  const gap = rest.startsWith(" ") || rest.startsWith(")") ? "" : " ";
  const before = text.slice(0, at.from);
  const lead = before === "" || /[\s(]$/.test(before) ? "" : " ";
  const caret = before.length + lead.length + choice.length + 1;
  return { text: `${before}${lead}${choice}${gap}${rest}`, caret };
}

/** Adds one condition to a filter with `and`, keeping an `or` at the top together. */
export function addCondition(filter: string, condition: string): string {
  const trimmed = filter.trim();
  if (trimmed === "") return condition;
  const { tokens } = lexFilter(trimmed);
  let depth = 0;
  let alternative = false;
  for (const token of tokens) {
    if (token.text === "(") depth += 1;
    else if (token.text === ")") depth -= 1;
    else if (depth === 0 && token.type === "keyword" && token.text.toLowerCase() === "or") alternative = true;
  }
  return `${alternative ? `(${trimmed})` : trimmed} and ${condition}`;
}

/** The states every view has besides its answer: empty, error, forbidden, partial, stale. */

import { Button, Popover, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useEffect, useState } from "react";
import { setToken } from "../api/client";
import { asProblem } from "../api/problem";
import { CopyIcon } from "./Copy";
import { plural } from "./format";
import { Icon } from "./Icon";
import css from "./states.module.css";

/** Code to copy that works as it stands. */
export function CodeBlock({ code, label }: { code: string; label: string }) {
  return (
    <div className={css.code}>
      <pre tabIndex={0}>{code}</pre>
      <CopyIcon text={code} label={`Copy ${label}`} />
    </div>
  );
}

/** Why there is nothing, and the next step. */
export function EmptyState({ title, text, children }: { title: string; text: ReactNode; children?: ReactNode }) {
  return (
    <section className={css.state} data-state="empty">
      <h2 className={css.title}>{title}</h2>
      <p className={css.text}>{text}</p>
      {children}
    </section>
  );
}

/** What went wrong, why, what to do; a retry; the request id. */
export function ProblemState({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const problem = asProblem(error);
  const locked = problem.status === 401;
  return (
    <section className={css.state} role="alert" data-state={locked || problem.status === 403 ? "forbidden" : "error"}>
      <h2 className={css.title}>
        <Icon name="error" size={18} style={{ color: "var(--ph-bad)" }} />
        {problem.title}
      </h2>
      {problem.detail && <p className={css.text}>{problem.detail}</p>}
      <dl className={css.facts}>
        <Fact name="Where" value={problem.where} />
        <Fact name="What to do" value={problem.remedy} />
        <Fact name="Request" value={problem.request_id} mono />
      </dl>
      {locked && <TokenForm />}
      {onRetry && !locked && (
        <div className={css.actions}>
          <Button variant="default" leftSection={<Icon name="refresh" size={14} />} onClick={onRetry}>
            Try again
          </Button>
        </div>
      )}
    </section>
  );
}

function Fact({ name, value, mono }: { name: string; value: string | null | undefined; mono?: boolean }) {
  if (!value) return null;
  return (
    <>
      <dt>{name}</dt>
      <dd className={mono ? "ph-mono" : undefined}>{value}</dd>
    </>
  );
}

/** A server beyond loopback wants its token once a tab. */
function TokenForm() {
  const client = useQueryClient();
  const [token, setText] = useState("");
  return (
    <form
      className={css.token}
      onSubmit={(event) => {
        event.preventDefault();
        setToken(token.trim());
        void client.invalidateQueries();
      }}
    >
      <TextInput
        type="password"
        autoComplete="off"
        aria-label="Server token"
        placeholder="Server token"
        value={token}
        onChange={(event) => setText(event.currentTarget.value)}
      />
      <Button type="submit" disabled={token.trim() === ""}>
        Unlock
      </Button>
    </form>
  );
}

/** Says that the data is not everything, and what is missing. */
export function PartialBadge({ warnings, title }: { warnings: string[]; title?: string }) {
  if (warnings.length === 0) return null;
  return (
    <Popover width={420} position="bottom-start">
      <Popover.Target>
        <button type="button" className={`${css.badge} ${css.warning}`}>
          <Icon name="warning" size={13} />
          {title ?? plural(warnings.length, "warning")}
        </button>
      </Popover.Target>
      <Popover.Dropdown>
        <ul className={css.warnings}>
          {warnings.map((warning) => (
            <li key={warning}>{warning}</li>
          ))}
        </ul>
      </Popover.Dropdown>
    </Popover>
  );
}

/** Seconds since `from` (ms), counting by itself. */
export function useSeconds(from: number): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return Math.max(0, Math.round((now - from) / 1000));
}

/** Data that could not be refreshed: as of when, and that the console keeps trying. */
export function StaleBadge({ since }: { since: number }) {
  const seconds = useSeconds(since);
  const age = seconds < 120 ? `${seconds} s` : `${Math.floor(seconds / 60)} m`;
  return (
    <span className={`${css.badge} ${css.warning}`} role="status" data-state="stale">
      <Icon name="clock" size={13} />
      as of {age} ago, reconnecting
    </span>
  );
}

import { Popover, UnstyledButton } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { clockSkew } from "../api/client";
import { asProblem } from "../api/problem";
import { statusQuery } from "../api/queries";
import type { ServerStatus } from "../api/schema";
import { exactCount, formatBytes, formatDuration } from "../ui/format";
import { useSeconds } from "../ui/states";
import css from "./StatusDot.module.css";

type Level = "good" | "warning" | "bad" | "unknown";

interface Verdict {
  level: Level;
  word: string;
  reasons: string[];
}

const CONNECTING: Verdict = { level: "unknown", word: "Connecting", reasons: [] };

/** One word for the server, with its reasons. */
export function judge(status: ServerStatus): Verdict {
  const troubled = status.components.filter((component) => component.status !== "ok");
  const reasons = troubled.map(({ name, status: word, reason }) => `${name}: ${reason || word}`);
  const level =
    status.status === "ok" ? "good" : /^(starting|stopping|recoverable)$/.test(status.status) ? "warning" : "bad";
  return { level, word: status.status === "ok" ? "Running" : capitalize(status.status), reasons };
}

/** No status: locked when the server wants a token, otherwise away. */
function judgeFailure(error: Error): Verdict {
  const { status, title } = asProblem(error);
  const word = status === 401 || status === 403 ? "Locked" : status > 0 ? "Failing" : "No answer";
  return { level: word === "Locked" ? "warning" : "bad", word, reasons: [title] };
}

function capitalize(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

/** The state of the server in the top bar: a word and a colour, the reasons when asked. */
export function StatusDot() {
  const { data, isError, error, dataUpdatedAt } = useQuery(statusQuery);
  const [open, control] = useDisclosure(false);
  const away = useSeconds(dataUpdatedAt);
  const verdict = isError ? judgeFailure(error) : data ? judge(data) : CONNECTING;
  return (
    <Popover opened={open} onChange={control.toggle} width={320} position="bottom-end">
      <Popover.Target>
        <UnstyledButton
          className={css.dot}
          data-level={verdict.level}
          aria-label={`Server: ${verdict.word}`}
          onClick={control.toggle}
          onMouseEnter={control.open}
          onMouseLeave={control.close}
        >
          <i />
          <span>{verdict.word}</span>
        </UnstyledButton>
      </Popover.Target>
      <Popover.Dropdown>
        <div className={css.card}>
          {isError && data && <p>As of {away} s ago; asking again every 2 s.</p>}
          {verdict.reasons.map((reason) => (
            <p key={reason}>{reason}</p>
          ))}
          {!isError && verdict.reasons.length === 0 && data && <p>Every component is well.</p>}
          {clockSkew() !== 0 && (
            <p>This browser's clock and the server's are {formatDuration(Math.abs(clockSkew()) * 1e6)} apart.</p>
          )}
          {data && (
            <dl>
              <dt>Version</dt>
              <dd>{data.version}</dd>
              <dt>Up for</dt>
              <dd>{formatDuration(data.uptimeSeconds * 1e9)}</dd>
              <dt>Spans stored</dt>
              <dd>{exactCount(data.store.spans)}</dd>
              <dt>On disk</dt>
              <dd>{data.ephemeral ? "nothing: ephemeral" : formatBytes(data.store.bytes)}</dd>
            </dl>
          )}
        </div>
      </Popover.Dropdown>
    </Popover>
  );
}

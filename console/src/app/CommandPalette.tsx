import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { servicesQuery, statusQuery } from "../api/queries";
import { Dialog } from "../ui/Dialog";
import { Icon, type IconName } from "../ui/Icon";
import css from "./CommandPalette.module.css";
import { railOf } from "./planes";

interface Command {
  key: string;
  icon: IconName;
  title: string;
  hint: string;
  run: () => void;
}

const SHOWN = 12;

/** The trace id somebody pasted: hex of 16 or 32 digits, also inside a URL or with dashes; `null` otherwise. */
export function readTraceId(text: string): string | null {
  const plain = text.trim().toLowerCase().replaceAll("-", "");
  const found = /(?:^|\/)([0-9a-f]{32}|[0-9a-f]{16})(?:$|[/?#])/.exec(plain)?.[1];
  return found ? found.padStart(32, "0") : null;
}

/** Go to a page, a service or a trace id. */
export default function CommandPalette({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState("");
  const [active, setActive] = useState(0);
  const commands = useCommands(text, onClose);
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    list.current?.children[active]?.scrollIntoView({ block: "nearest" });
  }, [active]);
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && commands.length > 0) setActive((active + step + commands.length) % commands.length);
    else if (event.key === "Enter") commands[active]?.run();
    else return;
    event.preventDefault();
  };
  return (
    <Dialog title="Go to a page, service or trace" onClose={onClose} size={560} yOffset="12vh" bare>
      <div className={css.field}>
        <Icon name="search" />
        <input
          data-autofocus
          role="combobox"
          aria-expanded="true"
          aria-controls="palette-list"
          aria-activedescendant={commands[active] ? `palette-${active}` : undefined}
          aria-label="Go to a page, service or trace id"
          placeholder="A page, a service, a trace id"
          spellCheck={false}
          value={text}
          onChange={(event) => {
            setText(event.currentTarget.value);
            setActive(0);
          }}
          onKeyDown={onKeyDown}
        />
      </div>
      <div id="palette-list" ref={list} role="listbox" aria-label="Results" className={css.list}>
        {commands.map((command, index) => (
          <div
            key={command.key}
            id={`palette-${index}`}
            role="option"
            tabIndex={-1}
            aria-selected={index === active}
            className={css.option}
            onClick={command.run}
            onMouseMove={() => setActive(index)}
          >
            <Icon name={command.icon} />
            <bdi className="ph-clip">{command.title}</bdi>
            <span>{command.hint}</span>
          </div>
        ))}
      </div>
      {commands.length === 0 && <p className={css.none}>Nothing by that name. A trace id has 32 hexadecimal digits.</p>}
    </Dialog>
  );
}

function useCommands(text: string, onClose: () => void): Command[] {
  const navigate = useNavigate();
  const { data: status } = useQuery(statusQuery);
  const { data: services } = useQuery(servicesQuery);
  const go = (leave: () => Promise<void>) => () => {
    onClose();
    void leave();
  };
  const needle = text.trim().toLowerCase();
  const traceId = readTraceId(text);
  const commands: Command[] = [];
  if (traceId) {
    const run = go(() => navigate({ to: "/traces/$traceId", params: { traceId } }));
    commands.push({ key: "trace", icon: "traces", title: traceId, hint: "trace", run });
  }
  for (const { title, page } of railOf(status?.capabilities ?? []).flatMap((plane) => plane.entries)) {
    if (title.toLowerCase().includes(needle)) {
      const run = go(() => navigate({ to: page.to, search: {} }));
      commands.push({ key: page.to, icon: page.icon, title, hint: "page", run });
    }
  }
  for (const { name } of services ?? []) {
    if (commands.length >= SHOWN) break;
    if (!name.toLowerCase().includes(needle)) continue;
    const run = go(() => navigate({ to: "/traces/search", search: { service: name } }));
    commands.push({ key: `service ${name}`, icon: "pulse", title: name, hint: "service", run });
  }
  return commands;
}

import { ActionIcon, Button, Menu, TextInput, Tooltip } from "@mantine/core";
import type { RefObject } from "react";
import { exactCount } from "../../ui/format";
import { Icon } from "../../ui/Icon";
import { nextHit, type SpanTree } from "../../ui/waterfall/tree";
import css from "./TracePage.module.css";

interface TraceToolsProps {
  tree: SpanTree;
  find: string;
  onFind: (text: string) => void;
  hits: Int32Array;
  errors: Int32Array;
  cursor: number;
  onGo: (index: number) => void;
  /** Folds everything at a depth, or nothing. */
  onFold: (depth: number | null) => void;
  fieldRef: RefObject<HTMLInputElement | null>;
  onLeave: () => void;
}

/** Search within the trace, the errors, and folding. */
export function TraceTools(props: TraceToolsProps) {
  const { tree, find, onFind, hits, errors, cursor, onGo, onFold, fieldRef, onLeave } = props;
  const at = hits.indexOf(cursor);
  return (
    <div className={css.tools}>
      <TextInput
        ref={fieldRef}
        className={css.find}
        aria-label="Find in this trace"
        placeholder="Find operation, service or span id"
        leftSection={<Icon name="search" size={14} />}
        spellCheck={false}
        value={find}
        onChange={(event) => onFind(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") onGo(nextHit(hits, cursor, event.shiftKey ? -1 : 1));
          else if (event.key === "Escape") onLeave();
          else return;
          event.preventDefault();
        }}
      />
      {find.trim() !== "" && (
        <span className={css.found} role="status">
          {hits.length === 0 ? "none" : `${at < 0 ? "–" : exactCount(at + 1)} of ${exactCount(hits.length)}`}
        </span>
      )}
      <Step
        label="Previous match (N)"
        icon="up"
        disabled={hits.length === 0}
        onClick={() => onGo(nextHit(hits, cursor, -1))}
      />
      <Step
        label="Next match (n)"
        icon="down"
        disabled={hits.length === 0}
        onClick={() => onGo(nextHit(hits, cursor, 1))}
      />
      {errors.length > 0 && (
        <Tooltip label="To the next error (e)">
          <Button
            variant="default"
            className={css.errors}
            leftSection={<Icon name="error" size={14} />}
            onClick={() => onGo(nextHit(errors, cursor, 1))}
          >
            {exactCount(errors.length)}
            <span className={css.wide}>&nbsp;{errors.length === 1 ? "error" : "errors"}</span>
          </Button>
        </Tooltip>
      )}
      <Menu position="bottom-end">
        <Menu.Target>
          <Button variant="default" className={css.fold}>
            Fold
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item onClick={() => onFold(null)} rightSection="]">
            Unfold everything
          </Menu.Item>
          {[1, 2, 3, 5]
            .filter((depth) => depth === 1 || depth < tree.maxDepth)
            .map((depth) => (
              <Menu.Item key={depth} onClick={() => onFold(depth)} rightSection={depth === 1 ? "[" : undefined}>
                Show {depth + 1} levels
              </Menu.Item>
            ))}
        </Menu.Dropdown>
      </Menu>
    </div>
  );
}

interface StepProps {
  label: string;
  icon: "up" | "down";
  disabled: boolean;
  onClick: () => void;
}

function Step({ label, icon, disabled, onClick }: StepProps) {
  return (
    <Tooltip label={label}>
      <ActionIcon aria-label={label} disabled={disabled} onClick={onClick}>
        <Icon name={icon} />
      </ActionIcon>
    </Tooltip>
  );
}

import { ActionIcon, Button, Popover, TextInput, Tooltip } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useIsFetching, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { serverNow } from "../api/client";
import { type RangeSearch, rangeOf, rangeSearch } from "../app/urlState";
import { Icon } from "./Icon";
import css from "./TimeRange.module.css";
import { describeRange, isRelative, parseMoment, type Range, RELATIVE_RANGES } from "./time";

/** The shared range of time: what it is, live or not, and asking again. All of it is in the address. */
export function TimeRange() {
  const search: RangeSearch = useSearch({ strict: false });
  const navigate = useNavigate();
  const client = useQueryClient();
  const fetching = useIsFetching({ queryKey: ["traces", "search"] }) > 0;
  const range = rangeOf(search);
  const live = search.live === "1";
  const [open, control] = useDisclosure(false);
  const choose = (next: Range, nextLive: boolean) => {
    control.close();
    const chosen = rangeSearch(next, nextLive);
    void navigate({
      to: ".",
      search: (previous: object) => ({ ...previous, from: chosen.from, to: chosen.to, live: chosen.live }),
    });
  };
  return (
    <div className={css.range}>
      <Popover opened={open} onChange={control.toggle} width={300} position="bottom-end" trapFocus>
        <Popover.Target>
          <Button
            variant="default"
            onClick={control.toggle}
            leftSection={<Icon name="clock" size={14} />}
            aria-label={`Time range: ${describeRange(range)}`}
          >
            {describeRange(range)}
          </Button>
        </Popover.Target>
        <Popover.Dropdown p={8}>
          <RangeForm range={range} onChoose={(next) => choose(next, live)} />
        </Popover.Dropdown>
      </Popover>
      <Tooltip label={isRelative(range) ? "Ask again every 5 s" : "A range with a fixed end cannot be live"}>
        <Button
          variant={live ? "light" : "default"}
          aria-pressed={live}
          aria-label="Live"
          disabled={!isRelative(range)}
          className={css.live}
          leftSection={<Icon name="live" size={14} />}
          onClick={() => choose(range, !live)}
        >
          <span className={css.word}>Live</span>
        </Button>
      </Tooltip>
      <Tooltip label="Ask again now">
        <ActionIcon
          aria-label="Refresh"
          className={css.refresh}
          data-busy={fetching}
          onClick={() => void client.invalidateQueries({ queryKey: ["traces"] })}
        >
          <Icon name="refresh" />
        </ActionIcon>
      </Tooltip>
    </div>
  );
}

function RangeForm({ range, onChoose }: { range: Range; onChoose: (range: Range) => void }) {
  const [from, setFrom] = useState(range.from);
  const [to, setTo] = useState(range.to);
  const now = serverNow();
  const [start, end] = [parseMoment(from, now), parseMoment(to, now)];
  const help = "Not a time: -2h, now, or 2026-03-07T14:00:00Z";
  const order = start !== null && end !== null && start >= end ? "The end is before the start" : undefined;
  return (
    <>
      <div className={css.presets}>
        {RELATIVE_RANGES.map((preset) => (
          <Button
            key={preset.from}
            variant={preset.from === range.from && isRelative(range) ? "light" : "subtle"}
            color={preset.from === range.from && isRelative(range) ? undefined : "gray"}
            justify="flex-start"
            onClick={() => onChoose({ from: preset.from, to: "now" })}
          >
            {preset.label}
          </Button>
        ))}
      </div>
      <form
        className={css.exact}
        onSubmit={(event) => {
          event.preventDefault();
          if (start !== null && end !== null && !order) onChoose({ from: from.trim(), to: to.trim() });
        }}
      >
        <TextInput
          label="From"
          value={from}
          error={start === null && help}
          onChange={(event) => setFrom(event.currentTarget.value)}
        />
        <TextInput
          label="To"
          value={to}
          error={end === null ? help : order}
          onChange={(event) => setTo(event.currentTarget.value)}
        />
        <Button type="submit" disabled={start === null || end === null || order !== undefined}>
          Use this range
        </Button>
      </form>
    </>
  );
}

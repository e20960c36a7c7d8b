import { ActionIcon, Button, Tooltip } from "@mantine/core";
import { useState } from "react";
import { Icon, type IconName } from "./Icon";

/** Copies even where the clipboard API is absent: a console reached over plain HTTP on another machine has none. */
export async function copyText(text: string): Promise<void> {
  if (window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "ph-hidden";
  document.body.append(area);
  area.select();
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- the only way where the clipboard API is absent
  document.execCommand("copy");
  area.remove();
}

function useCopied(text: string | (() => string | Promise<string>)): [boolean, () => void] {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await copyText(typeof text === "string" ? text : await text());
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return [copied, () => void copy()];
}

interface CopyProps {
  text: string | (() => string | Promise<string>);
  /** What is copied: “Copy trace id”. */
  label: string;
}

export function CopyIcon({ text, label, size = 22 }: CopyProps & { size?: number }) {
  const [copied, copy] = useCopied(text);
  return (
    <Tooltip label={copied ? "Copied" : label}>
      <ActionIcon size={size} aria-label={copied ? "Copied" : label} onClick={copy}>
        <Icon name={copied ? "check" : "copy"} size={13} />
      </ActionIcon>
    </Tooltip>
  );
}

export function CopyButton({ text, label, icon = "copy" }: CopyProps & { icon?: IconName }) {
  const [copied, copy] = useCopied(text);
  return (
    <Button variant="default" onClick={copy} leftSection={<Icon name={copied ? "check" : icon} size={14} />}>
      {copied ? "Copied" : label}
    </Button>
  );
}

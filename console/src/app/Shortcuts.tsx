import { Kbd } from "@mantine/core";
import { Dialog } from "../ui/Dialog";
import css from "./Shortcuts.module.css";

const GROUPS: { title: string; keys: [string, string][] }[] = [
  {
    title: "Everywhere",
    keys: [
      ["Ctrl K", "Go to a page, service or trace"],
      ["?", "This help"],
      ["/", "To the filter, or to the search within a trace"],
      ["Esc", "Leave a field, close what is open"],
    ],
  },
  {
    title: "Lists",
    keys: [
      ["j k", "Next, previous row"],
      ["Enter", "Open the row"],
      ["g G", "First, last row"],
    ],
  },
  {
    title: "A trace",
    keys: [
      ["j k", "Next, previous span"],
      ["h l", "Fold or go to the parent, unfold or go in"],
      ["Enter", "Details of the span"],
      ["n N", "Next, previous match of the search"],
      ["e E", "Next, previous error"],
      ["[ ]", "Fold everything, unfold everything"],
      ["+ − 0", "Zoom in, out, show all"],
      ["z", "Zoom to the span"],
      ["H L", "Earlier, later, when zoomed in"],
    ],
  },
];

/** Every single-key shortcut of the console. */
export default function Shortcuts({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keyboard" onClose={onClose}>
      <div className={css.groups}>
        {GROUPS.map((group) => (
          <section key={group.title}>
            <h3>{group.title}</h3>
            <dl>
              {group.keys.map(([keys, meaning]) => (
                <div key={keys}>
                  <dt>
                    {keys.split(" ").map((key) => (
                      <Kbd key={key} size="xs">
                        {key}
                      </Kbd>
                    ))}
                  </dt>
                  <dd>{meaning}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}

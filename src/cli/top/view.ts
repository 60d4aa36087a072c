/** What the user has chosen to see, and the keys that change it. */
import { columnNames, type SortOrder } from "./table.js";

export interface View {
  readonly sort: SortOrder;
  readonly isPaused: boolean;
  readonly showsHelp: boolean;
  /** How many lines of the table are above the screen. */
  readonly scrolled: number;
}

export const firstView: View = {
  sort: { column: "role", isReversed: false },
  isPaused: false,
  showsHelp: false,
  scrolled: 0,
};

/** A key as `readline` reports it. */
export interface Key {
  readonly name?: string | undefined;
  readonly sequence?: string | undefined;
  readonly ctrl?: boolean | undefined;
  readonly shift?: boolean | undefined;
}

/** The lines of the help, before colours. */
export const helpLines: readonly string[] = [
  "q, Ctrl-C       quit",
  "s, right        sort by the next column",
  "S, left         sort by the previous column",
  "r               reverse the order",
  "up, down        scroll",
  "space           pause: no server is asked until you press it again",
  "?               show or hide this help",
  "",
  "STATE      what a Tidemark would report: only a serving replica answers reads",
  "BEHIND     how many bytes of the primary's writes the replica lacks",
  "LAG        how long it took to get them. >3 s: it still lacks them, for 3 s now",
  "LAST 60 S  the lag of the last minute. A full bar is maxStalenessMs",
  "LINK       when the replica last heard from its primary",
];

/** The view after a key. `"quit"` if the key ends the program. */
export function afterKey(view: View, { name, sequence, ctrl, shift }: Key): View | "quit" {
  if (ctrl) return name === "c" || name === "d" ? "quit" : view;
  if (sequence === "?" || name === "h") return { ...view, showsHelp: !view.showsHelp };
  switch (name) {
    case "q":
      return "quit";
    case "escape":
      return { ...view, showsHelp: false };
    case "s":
      return { ...view, sort: moved(view.sort, shift ? -1 : 1) };
    case "right":
      return { ...view, sort: moved(view.sort, 1) };
    case "left":
      return { ...view, sort: moved(view.sort, -1) };
    case "r":
      return { ...view, sort: { ...view.sort, isReversed: !view.sort.isReversed } };
    case "space":
      return { ...view, isPaused: !view.isPaused };
    case "down":
      return { ...view, scrolled: view.scrolled + 1 };
    case "up":
      return { ...view, scrolled: Math.max(view.scrolled - 1, 0) };
    default:
      return view;
  }
}

function moved(sort: SortOrder, steps: number): SortOrder {
  const at = columnNames.indexOf(sort.column) + steps;
  return { ...sort, column: columnNames.at(at % columnNames.length) ?? sort.column };
}

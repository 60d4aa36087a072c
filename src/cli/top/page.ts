/** Puts a snapshot on a page: the table, the warnings and, on a screen, what the keys do. */
import type { Terminal } from "../terminal/terminal.js";
import { wrapped } from "../terminal/wrapped.js";
import type { Snapshot } from "./snapshot.js";
import { headingOf, tableOf } from "./table.js";
import { firstView, helpLines, type View } from "./view.js";

export interface PageOptions {
  readonly terminal: Terminal;
  readonly maxStalenessMs: number;
}

export interface ScreenOptions extends PageOptions {
  readonly view: View;
  /** How many lines the screen has. */
  readonly height: number;
  readonly intervalMs: number;
}

const keys = "q quit  s sort  r reverse  space pause  ? help";
const fewKeys = "q quit  ? help";

/** The table and the warnings as plain lines, for a pipe or a file. */
export function plainPage(snapshot: Snapshot, { terminal, maxStalenessMs }: PageOptions): string[] {
  const { heading, lines } = tableOf(snapshot.groups, { terminal, maxStalenessMs, sort: firstView.sort });
  const warnings = warningLines(snapshot, terminal);
  return [heading, ...lines, ...(warnings.length === 0 ? [] : ["", ...warnings])];
}

/** The lines of a screen. There are at most `height`, and none is wider than the terminal. */
export function screenPage(snapshot: Snapshot | undefined, options: ScreenOptions): string[] {
  const { terminal, view, height } = options;
  const { dim } = terminal.colors;
  const footer = dim(keys.length <= terminal.width ? keys : fewKeys.slice(0, terminal.width));
  const title = titleOf(snapshot, options);
  const room = Math.max(height - 2, 0);
  const body = view.showsHelp ? helpBody(terminal, room) : bodyOf(snapshot, options, room);
  const blank = Array.from({ length: Math.max(room - body.length, 0) }, () => "");
  return [title, ...body, ...blank, footer].slice(0, height);
}

function bodyOf(snapshot: Snapshot | undefined, options: ScreenOptions, room: number): string[] {
  const { terminal, maxStalenessMs, view } = options;
  if (snapshot === undefined) return ["", "Looking for servers ..."].slice(0, room);
  const { heading, lines } = tableOf(snapshot.groups, { terminal, maxStalenessMs, sort: view.sort });
  const warnings = warningLines(snapshot, terminal);
  const most = Math.max(room - lines.length - 2, Math.ceil(room / 3));
  const below = warnings.length === 0 ? [] : ["", ...cutTo(warnings, most, terminal.width)];
  const table = scrolledTo(view.scrolled, lines, room - 1 - below.length, terminal.width);
  return [heading, ...table, ...below].slice(0, room);
}

/** The last scroll position that still shows something new, so that the keys do not scroll past the end. */
export function lastScroll(snapshot: Snapshot | undefined): number {
  const groups = snapshot?.groups ?? [];
  const lines = groups.reduce(
    (sum, { title, servers }) => sum + servers.length + Number(title !== undefined),
    0,
  );
  return Math.max(lines - 1, 0);
}

function scrolledTo(scrolled: number, lines: readonly string[], room: number, width: number): string[] {
  if (lines.length <= room) return [...lines];
  const shown = Math.max(room - 1, 0);
  const from = Math.min(scrolled, lines.length - shown);
  const hidden = lines.length - from - shown;
  const rest = hidden > 0 ? `${hidden} more below` : `${from} more above`;
  return [...lines.slice(from, from + shown), rest.slice(0, width)];
}

function cutTo(lines: readonly string[], most: number, width: number): readonly string[] {
  if (lines.length <= most) return lines;
  const shown = Math.max(most - 1, 0);
  const rest = `  ${lines.length - shown} more lines of warnings`;
  return [...lines.slice(0, shown), rest.slice(0, width)];
}

function titleOf(snapshot: Snapshot | undefined, { terminal, view, intervalMs }: ScreenOptions): string {
  const count = snapshot?.groups.reduce((sum, { servers }) => sum + servers.length, 0) ?? 0;
  const order = `by ${headingOf(view.sort.column)}${view.sort.isReversed ? ", reversed" : ""}`;
  const parts = [
    "tidemark top",
    ...(snapshot === undefined ? [] : [view.isPaused ? "PAUSED" : clockOf(snapshot.at)]),
    `${count} ${count === 1 ? "server" : "servers"}`,
    `every ${intervalMs / 1_000} s`,
    order,
  ];
  while (parts.length > 1 && parts.join("  ").length > terminal.width) parts.pop();
  return terminal.colors.bold(parts.join("  ").slice(0, terminal.width));
}

function clockOf(at: Date): string {
  return at.toTimeString().slice(0, 8);
}

function warningLines({ warnings }: Snapshot, { width, colors }: Terminal): string[] {
  return warnings
    .flatMap((warning) => wrapped(warning, width, "! "))
    .map((line) => colors.yellow(line.slice(0, width)));
}

function helpBody({ width }: Terminal, room: number): string[] {
  const lines = helpLines.flatMap((line) => {
    const [label = "", text = ""] = line.split(/ {2,}/);
    return line === "" ? [""] : wrapped(text, width, `${label} `.padEnd(line.indexOf(text)), "  ");
  });
  return ["", ...lines.map((line) => line.slice(0, width))].slice(0, room);
}

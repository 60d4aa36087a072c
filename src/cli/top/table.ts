/** The table of servers as lines of text. */
import Table from "cli-table3";
import type { Terminal } from "../terminal/terminal.js";
import { bytesText, countText, durationText, secondsText } from "./quantities.js";
import type { ServerRow, ServersOfPrimary } from "./snapshot.js";
import { sparkline } from "./sparkline.js";

export type ColumnName =
  | "role"
  | "address"
  | "state"
  | "behind"
  | "lag"
  | "minute"
  | "ops"
  | "link"
  | "clients"
  | "memory";

/** By which column the rows of each group are sorted. */
export interface SortOrder {
  readonly column: ColumnName;
  readonly isReversed: boolean;
}

export interface TableOptions {
  readonly terminal: Terminal;
  readonly sort: SortOrder;
  readonly maxStalenessMs: number;
}

interface Column {
  readonly name: ColumnName;
  readonly heading: string;
  /** Undefined if the content decides. */
  readonly width?: number;
  readonly align: "left" | "right";
  readonly text: (row: ServerRow) => string;
  /** What rows are compared by. Undefined sorts last, whichever way. */
  readonly key: (row: ServerRow) => number | string | undefined;
}

const gap = 2;
const leastAddress = 15;
const leastSparkline = 10;
const mostSparkline = 60;
const none = "-";

/** The columns that a narrow terminal leaves out, the first one first. */
const dropOrder: readonly ColumnName[] = ["memory", "clients", "link", "minute", "ops", "behind"];

/** The widths to which the other columns shrink, the first one first, if the terminal is still too narrow. */
const shrinkOrder: readonly (readonly [ColumnName, number])[] = [
  ...([
    ["address", 12],
    ["state", 9],
    ["address", 8],
    ["role", 1],
    ["lag", 6],
  ] as const),
  ...([
    ["state", 1],
    ["address", 1],
  ] as const),
];

const columns: readonly Column[] = [
  {
    name: "role",
    heading: "ROLE",
    width: 7,
    align: "left",
    text: ({ role }) => role ?? "?",
    key: ({ role, address }) => `${role ?? "z"} ${address}`,
  },
  {
    name: "address",
    heading: "ADDRESS",
    align: "left",
    text: ({ address }) => address,
    key: ({ address }) => address,
  },
  { name: "state", heading: "STATE", align: "left", text: ({ state }) => state, key: ({ state }) => state },
  {
    name: "behind",
    heading: "BEHIND",
    width: 7,
    align: "right",
    text: ({ lagBytes }) => shown(lagBytes, bytesText),
    key: ({ lagBytes }) => lagBytes,
  },
  { name: "lag", heading: "LAG", width: 7, align: "right", text: lagText, key: ({ lagMs }) => lagMs },
  {
    name: "minute",
    heading: "LAST 60 S",
    width: leastSparkline,
    align: "left",
    text: () => "",
    key: ({ history }) => longestIn(history.flatMap(({ lagMs }) => lagMs ?? [])),
  },
  {
    name: "ops",
    heading: "OPS/S",
    width: 6,
    align: "right",
    text: ({ opsPerSecond }) => shown(opsPerSecond, countText),
    key: ({ opsPerSecond }) => opsPerSecond,
  },
  {
    name: "link",
    heading: "LINK",
    width: 11,
    align: "left",
    text: ({ link }) => shown(link, ({ isUp, seconds }) => linkText(isUp, seconds)),
    key: ({ link }) => link && (link.isUp ? link.seconds : Number.MAX_SAFE_INTEGER - 1 / (1 + link.seconds)),
  },
  {
    name: "clients",
    heading: "CLIENTS",
    width: 8,
    align: "right",
    text: ({ clients }) => shown(clients, countText),
    key: ({ clients }) => clients,
  },
  {
    name: "memory",
    heading: "MEMORY",
    width: 7,
    align: "right",
    text: ({ memoryBytes }) => shown(memoryBytes, bytesText),
    key: ({ memoryBytes }) => memoryBytes,
  },
];

/** The columns by which rows can be sorted, from left to right. */
export const columnNames: readonly ColumnName[] = columns.map(({ name }) => name);

/** The heading of a column as people read it. */
export function headingOf(name: ColumnName): string {
  return columns.find((column) => column.name === name)?.heading.toLowerCase() ?? name;
}

/** The table, as its heading and the lines below it. No line is wider than the terminal. */
export function tableOf(
  groups: readonly ServersOfPrimary[],
  options: TableOptions,
): { heading: string; lines: string[] } {
  const rows = groups.flatMap(({ servers }) => servers);
  const layout = layoutOf(rows, options.terminal.width);
  const [heading = "", ...lines] = drawn(groups, layout, options);
  return { heading, lines };
}

/** The rows in their order. */
export function sorted(rows: readonly ServerRow[], { column, isReversed }: SortOrder): readonly ServerRow[] {
  const key = columns.find(({ name }) => name === column)?.key ?? (() => undefined);
  const sign = isReversed ? -1 : 1;
  return rows.toSorted((a, b) => {
    const [left, right] = [key(a), key(b)];
    if (left === undefined || right === undefined)
      return Number(left === undefined) - Number(right === undefined);
    return sign * compared(left, right);
  });
}

/** A text without its middle, if it is longer than `width`. */
export function shortened(text: string, width: number, hasUnicode: boolean): string {
  if (text.length <= width) return text;
  const mark = hasUnicode ? "…" : "..";
  // The end of an address, its port, tells more than its beginning.
  const end = Math.ceil((width - mark.length) / 2);
  const start = Math.max(0, width - mark.length - end);
  return `${text.slice(0, start)}${mark}${text.slice(text.length - end)}`;
}

type Layout = ReadonlyMap<ColumnName, number>;

/** The width of each column that fits. */
function layoutOf(rows: readonly ServerRow[], width: number): Layout {
  const widths = new Map(columns.map((column) => [column.name, column.width ?? contentWidth(column, rows)]));
  const free = (): number => {
    const all = [...widths.values()];
    return width - all.reduce((sum, one) => sum + one, 0) - gap * (all.length - 1);
  };
  const address = widths.get("address") ?? 0;
  widths.set("address", Math.min(address, leastAddress));
  for (const name of dropOrder) if (free() < 0) widths.delete(name);
  const shrink = (name: ColumnName, least: number): void => {
    const now = widths.get(name) ?? 0;
    if (free() < 0) widths.set(name, Math.max(Math.min(now, least), now + free()));
  };
  for (const [name, least] of shrinkOrder) shrink(name, least);
  const grow = (name: ColumnName, most: number): void => {
    const now = widths.get(name);
    if (now !== undefined && free() > 0) widths.set(name, Math.max(now, Math.min(most, now + free())));
  };
  grow("address", address);
  grow("minute", mostSparkline);
  return widths;
}

function contentWidth({ heading, text }: Column, rows: readonly ServerRow[]): number {
  // One more, for the mark of the sort order.
  return Math.max(heading.length + 1, ...rows.map((row) => text(row).length));
}

function drawn(groups: readonly ServersOfPrimary[], layout: Layout, options: TableOptions): string[] {
  const shownColumns = columns.filter(({ name }) => layout.has(name));
  const { colors } = options.terminal;
  const table = new Table({
    chars: noBorders,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0, compact: true },
    colWidths: shownColumns.map(({ name }, i) => (layout.get(name) ?? 0) + (i > 0 ? gap : 0)),
    colAligns: shownColumns.map(({ align }) => align),
    truncate: "",
  });
  const line = (cells: readonly string[]): string[] =>
    cells.map((cell, i) => (i > 0 && shownColumns[i]?.align === "left" ? " ".repeat(gap) + cell : cell));
  table.push(line(shownColumns.map((column) => headingCell(column, layout.get(column.name) ?? 0, options))));
  for (const { title, servers } of groups) {
    if (title !== undefined)
      table.push([{ colSpan: shownColumns.length, content: colors.bold(clipped(title, options)) }]);
    for (const row of sorted(servers, options.sort))
      table.push(
        line(shownColumns.map((column) => cell(column, row, layout.get(column.name) ?? 0, options))),
      );
  }
  return table
    .toString()
    .split("\n")
    .map((text) => text.trimEnd());
}

function headingCell({ name, heading, align }: Column, width: number, options: TableOptions): string {
  const { terminal, sort } = options;
  const { bold, dim } = terminal.colors;
  const fitting = heading.slice(0, name === sort.column ? width - 1 : width);
  if (name !== sort.column) return dim(fitting);
  const [up, down] = terminal.hasUnicode ? ["▲", "▼"] : ["^", "v"];
  const mark = sort.isReversed ? down : up;
  return bold(align === "right" ? mark + fitting : fitting + mark);
}

function cell(column: Column, row: ServerRow, width: number, options: TableOptions): string {
  const { terminal, maxStalenessMs } = options;
  const { colors, hasUnicode } = terminal;
  const text = column.text(row);
  switch (column.name) {
    case "address":
      return shortened(text, width, hasUnicode);
    case "minute":
      return row.role === "primary" ? "" : sparkline(row.history, { width, maxStalenessMs, hasUnicode });
    case "state":
      return stateColor(row, options)(shortened(text, width, hasUnicode));
    case "lag":
      if (row.lagMs === undefined || row.lagMs < maxStalenessMs / 2) return text;
      return (row.lagMs > maxStalenessMs ? colors.red : colors.yellow)(text);
    default:
      return text.slice(0, width);
  }
}

function stateColor({ state }: ServerRow, { terminal }: TableOptions): (text: string) => string {
  const { green, yellow, red } = terminal.colors;
  if (state === "serving") return green;
  const passes = new Set<ServerRow["state"]>(["starting", "loading", "syncing", "behind"]);
  return passes.has(state) ? yellow : red;
}

function clipped(text: string, { terminal }: TableOptions): string {
  return text.slice(0, terminal.width);
}

function lagText({ lagMs, hasCaughtUp }: ServerRow): string {
  return shown(lagMs, (ms) => (hasCaughtUp ? durationText(ms) : `>${durationText(ms)}`));
}

function linkText(isUp: boolean, seconds: number): string {
  return isUp ? `${secondsText(seconds)} ago` : `down ${secondsText(seconds)}`;
}

function shown<Value>(value: Value | undefined, text: (value: Value) => string): string {
  return value === undefined ? none : text(value);
}

function longestIn(lags: readonly number[]): number | undefined {
  return lags.length === 0 ? undefined : Math.max(...lags);
}

function compared(left: number | string, right: number | string): number {
  if (typeof left === "number" && typeof right === "number") return left - right;
  return String(left).localeCompare(String(right), "en", { numeric: true });
}

const noBorders = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "",
};

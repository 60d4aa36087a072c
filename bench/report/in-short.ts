/** What a reader wants to know first: what Tidemark costs, and what it saves. Everything is also on the page in full. */
import type { Results } from "./results.js";
import type { Table } from "./section.js";

interface Extract {
  readonly section: string;
  /** The beginning of the title of the table. */
  readonly table: string;
  readonly title: string;
  readonly how: string;
  /** Whether the row with these cells is shown. */
  readonly shows: (cells: Table["rows"][number]) => boolean;
  /** The columns that are shown. All of them if there are none. */
  readonly columns: readonly string[];
}

const extracts: readonly Extract[] = [
  {
    section: "http",
    table: "Requests per second with Tidemark",
    title: "What a request costs: requests per second, compared with plain ioredis",
    how:
      "An Express app with Tidemark's middleware and two replicas, compared with the same app on plain ioredis, which sends all " +
      "commands to the primary. 1 means that Tidemark costs nothing. The brackets are 95 % intervals.",
    shows: ([name]) => String(name).startsWith("Express"),
    columns: [],
  },
  {
    section: "http",
    table: "CPU that Tidemark adds to a request",
    title: "What a request costs: CPU that Tidemark adds, in µs",
    how: "The same apps. The CPU is that of the app's process.",
    shows: ([name]) => String(name).startsWith("Express"),
    columns: [],
  },
  {
    section: "server",
    table: "CPU of the servers, 95 reads to 5 writes",
    title: "What it saves: CPU of the primary for one operation of a user",
    how: "There are 95 reads to 5 writes, 200 users, 64 operations in flight and two replicas.",
    shows: ([, inFlight]) => String(inFlight) === "64",
    columns: ["", "primary, µs", "ratio to plain ioredis"],
  },
  {
    section: "app",
    table: "Lag 50 ms",
    title: "What it saves: page reads of an ordinary app that the primary answers",
    how:
      'The app has a session store, a rate limiter and pages. The replicas lag by 50 ms. "Stale" counts the answers that missed a ' +
      "write of the same user.",
    shows: () => true,
    columns: ["", "stale", "page reads on the primary, %"],
  },
];

/** The tables at the top of the page. */
export function inShort({ sections }: Results): readonly Table[] {
  return extracts.flatMap(({ section, table: begin, title, how, shows, columns }) => {
    const table = sections[section]?.tables.find((one) => one.title.startsWith(begin));
    if (table === undefined) return [];
    const shown = columns.length === 0 ? table.columns : columns;
    const places = shown.map((column) => table.columns.indexOf(column));
    const rows = table.rows.filter(shows).map((cells) => places.map((place) => cells[place] ?? "-"));
    return [{ title, how, columns: shown, rows }];
  });
}

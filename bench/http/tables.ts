/** The tables of what requests cost. */
import { intervalOf } from "../report/rounds.js";
import type { Figure, Table } from "../report/section.js";
import { busyShare } from "./busy-primary.js";
import { type Cell, type Effort, type MeasuredCell, nameOf } from "./cell.js";
import type { Contestant } from "./contestants.js";
import type { Cost } from "./cost.js";
import { type Delay, loadShare, loads } from "./delay.js";
import { type Route, readWithToken, routes } from "./routes.js";
import { connections } from "./running-app.js";

/** `missing` are the versions of Node that could not be fetched. */
export function tablesOf(
  cells: readonly MeasuredCell[],
  effort: Effort,
  missing: readonly string[],
): readonly Table[] {
  return [
    overview(
      "Requests per second with Tidemark, compared with plain ioredis",
      `${howOf(cells, effort, missing)} Each cell is a ratio of requests per second. 1 means that Tidemark costs nothing.`,
      cells,
      (cell, route) => intervalOf(cell.costs.ratios(route, "tidemark", "perSecond")),
    ),
    overview(
      "CPU that Tidemark adds to a request, µs",
      "The CPU of the app's process with Tidemark minus that of the plain app. All threads of the process count.",
      cells,
      (cell, route) => intervalOf(cell.costs.differences(route, "tidemark", "cpuUs")),
    ),
    ...scheduledOf(cells, effort),
    ...cells.flatMap((cell) => [timesOf(cell), garbageOf(cell), ...othersOf(cell)]),
  ];
}

function howOf(cells: readonly MeasuredCell[], effort: Effort, missing: readonly string[]): string {
  const { warmUp, blocks, requestsOfBlock, limits } = effort;
  const busy = cells.flatMap(({ costs }) =>
    routes.flatMap((route) => costs.values(route, "plain", "benchBusy")),
  );
  return [
    "Two apps have the same routes. The plain app sends all commands to the primary with ioredis. The other app has Tidemark's",
    `middleware and 2 replicas. ${connections} connections send requests as fast as they are answered. Each request comes from`,
    `another user, and the users with a token bring ${connections} different tokens in turn. Each round starts a new process for`,
    `each app and sends it ${warmUp} requests for all routes in mixed order. After that, each route has`,
    `${blocks} turns of ${requestsOfBlock} requests in each app. The order of the turns is random and repeatable. Each cell is the`,
    "median of the rounds, with its 95 % interval in brackets. A ratio compares the two apps within a round. Rounds are repeated",
    `until the interval of each ratio of requests per second is within ${100 * limits.tolerance} %, but at least ${limits.least}`,
    `and at most ${limits.most} times. The process that sends the requests was busy for at most`,
    `${Math.round(100 * Math.max(...busy))} % of a turn.`,
    'A session store and a rate limiter are measured in "An ordinary app".',
    ...missing.map((major) => `Node ${major} is missing because it could not be fetched.`),
  ].join(" ");
}

function overview(
  title: string,
  how: string,
  cells: readonly MeasuredCell[],
  figure: (cell: MeasuredCell, route: Route) => Figure,
): Table {
  const rows = cells.map((cell) => [nameOf(cell), ...routes.map((route) => figure(cell, route))]);
  return { title, how, columns: ["", ...routes.map(({ name }) => name)], rows };
}

function scheduledOf(cells: readonly MeasuredCell[], { scheduledMs }: Effort): Table[] {
  const scheduled = cells.filter(({ isScheduled }) => isScheduled);
  if (scheduled.length === 0) return [];
  const rows = scheduled.flatMap((cell) =>
    loads.map((load) => {
      const { delays } = cell;
      const of = (contestant: Contestant, what: keyof Delay): Figure =>
        intervalOf(delays.values(load, contestant, what));
      return [
        `${nameOf(cell)}, primary ${load}`,
        of("plain", "p50Ms"),
        of("tidemark", "p50Ms"),
        intervalOf(delays.ratios(load, "tidemark", "p50Ms")),
        of("plain", "p99Ms"),
        of("tidemark", "p99Ms"),
        intervalOf(delays.ratios(load, "tidemark", "p99Ms")),
        of("plain", "primaryBusy"),
        of("tidemark", "primaryBusy"),
      ];
    }),
  );
  return [
    {
      title: `Response times at ${100 * loadShare} % load`,
      how:
        `The requests are those of "${readWithToken.name}". For ${scheduledMs / 1_000} s in each round they are sent on a schedule, ` +
        "whether or not earlier ones were answered. Each time is counted from when the request was due. Both apps get the same " +
        `requests: ${100 * loadShare} % of what the plain app can answer in a second. "Primary busy": other clients count the bits ` +
        `of a large value, so often that the primary needs ${100 * busyShare} % of a CPU for them. The last columns are the share ` +
        "of a CPU that the primary used.",
      columns: [
        ...["", "plain p50, ms", "with Tidemark, ms", "ratio", "plain p99, ms", "with Tidemark, ms", "ratio"],
        ...["primary's CPU, plain", "with Tidemark"],
      ],
      rows,
    },
  ];
}

function timesOf(cell: MeasuredCell): Table {
  const { of, ratio, difference } = figuresOf(cell);
  return {
    title: nameOf(cell),
    how: `${versionOf(cell)}, ${cell.rounds} rounds. "Plain" is the plain app. The ratios and the difference compare the app with Tidemark to it.`,
    columns: [
      ...["", "plain requests/s", "ratio", "plain CPU, µs", "ratio", "difference, µs"],
      ...["plain p50, ms", "ratio", "plain p99, ms", "ratio"],
    ],
    rows: routes.map((route) => [
      route.name,
      of(route, "plain", "perSecond"),
      ratio(route, "perSecond"),
      of(route, "plain", "cpuUs"),
      ratio(route, "cpuUs"),
      difference(route, "cpuUs"),
      of(route, "plain", "p50Ms"),
      ratio(route, "p50Ms"),
      of(route, "plain", "p99Ms"),
      ratio(route, "p99Ms"),
    ]),
  };
}

function garbageOf(cell: MeasuredCell): Table {
  const { of, ratio } = figuresOf(cell);
  return {
    title: `${nameOf(cell)}: garbage of a request`,
    how:
      "Scavenges hold up the program. A scavenge moves objects that are still in use to the old space, which is called promotion. " +
      'Objects "born old" were allocated in the old space at once. V8 itself reports all of this, and the bench forces no collection.',
    columns: [
      ...["", "plain scavenges, µs", "with Tidemark, µs", "ratio"],
      ...["plain promoted, bytes", "with Tidemark, bytes", "ratio"],
      ...["plain born old, bytes", "with Tidemark, bytes", "plain allocated, bytes", "with Tidemark, bytes"],
    ],
    rows: routes.map((route) => [
      route.name,
      of(route, "plain", "scavengeUs"),
      of(route, "tidemark", "scavengeUs"),
      ratio(route, "scavengeUs"),
      of(route, "plain", "promotedBytes"),
      of(route, "tidemark", "promotedBytes"),
      ratio(route, "promotedBytes"),
      of(route, "plain", "bornOldBytes"),
      of(route, "tidemark", "bornOldBytes"),
      of(route, "plain", "allocatedBytes"),
      of(route, "tidemark", "allocatedBytes"),
    ]),
  };
}

/** What else apps mount, in the cells that have it. */
const others: readonly Contestant[] = ["tidemark", "signed cookie", "AsyncLocalStorage"];

function othersOf(cell: MeasuredCell): Table[] {
  const { ratio, difference } = figuresOf(cell);
  const here = others.filter((other) => cell.contestants.includes(other));
  if (here.length < 2) return [];
  return [
    {
      title: `${nameOf(cell)}: Tidemark beside other middleware`,
      how:
        '"Signed cookie" is a session in a signed cookie. "AsyncLocalStorage" runs each request in AsyncLocalStorage.run. Neither ' +
        "has Tidemark. Each ratio is that of requests per second, and each difference that of CPU in µs, to the plain app.",
      columns: ["", ...here.flatMap((other) => [`${other}, ratio`, "CPU, µs", "scavenges, µs"])],
      rows: routes.map((route) => [
        route.name,
        ...here.flatMap((other) => [
          ratio(route, "perSecond", other),
          difference(route, "cpuUs", other),
          difference(route, "scavengeUs", other),
        ]),
      ]),
    },
  ];
}

function figuresOf({ costs }: MeasuredCell) {
  return {
    of: (route: Route, contestant: Contestant, what: keyof Cost): Figure =>
      intervalOf(costs.values(route, contestant, what)),
    ratio: (route: Route, what: keyof Cost, contestant: Contestant = "tidemark"): Figure =>
      intervalOf(costs.ratios(route, contestant, what)),
    difference: (route: Route, what: keyof Cost, contestant: Contestant = "tidemark"): Figure =>
      intervalOf(costs.differences(route, contestant, what)),
  };
}

function versionOf({ node }: Cell): string {
  return `Node ${node.version}`;
}

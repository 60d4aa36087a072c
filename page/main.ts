/** Shows what the feed sends. */
import { byId, nameTableRoles, setText } from "./element.js";
import { EventsList } from "./events-list.js";
import { Feed, type FeedReceiver, type FeedState } from "./feed.js";
import { Figures } from "./figures.js";
import { LagChart } from "./lag-chart.js";
import { LatestReads } from "./latest-reads.js";
import { momentsOf, wholeOf } from "./moments.js";
import { ReadsChart } from "./reads-chart.js";
import { ReasonsTable } from "./reasons-table.js";
import { Recent } from "./recent.js";
import { ServersTable } from "./servers-table.js";
import { TimeCursor } from "./time-cursor.js";
import { verdictOf } from "./verdict.js";

const words: Readonly<Record<FeedState, string>> = {
  connecting: "Connecting",
  live: "Live",
  lost: "Connection lost",
  refused: "Refused",
};
const icons = { unknown: "…", good: "✓", warn: "!", bad: "✕" } as const;

const recent = new Recent();
const cursor = new TimeCursor(showCharts);
const figures = new Figures();
const servers = new ServersTable();
const readsChart = new ReadsChart(cursor);
const reasons = new ReasonsTable();
const lagChart = new LagChart(cursor);
const events = new EventsList();
const latestReads = new LatestReads(recent);

const receiver: FeedReceiver = {
  history: (history) => {
    recent.replace(history);
    showAll();
    latestReads.show();
  },
  sample: (sample) => {
    recent.addSample(sample);
    showAll();
  },
  mark: (mark) => {
    recent.addMark(mark);
    showAll();
  },
  reads: (reads) => {
    recent.addReads(reads);
    latestReads.show();
  },
};

nameTableRoles();
// With a tab stop, arrow keys scroll them.
for (const id of ["events", "latest-scroll"]) byId(id).tabIndex = 0;
showConnection("connecting", "");
showAll();
new ResizeObserver(showCharts).observe(byId("reads-chart"));
new Feed(location.href.replace(/#.*$/, ""), receiver, showConnection).open();

function showAll(): void {
  const { samples, marks } = recent;
  const verdict = verdictOf(samples);
  byId("verdict").dataset.level = verdict.level;
  setText(byId("verdict-icon"), icons[verdict.level]);
  setText(byId("verdict-text"), verdict.text);
  setText(byId("verdict-share"), verdict.share);
  document.title = `${icons[verdict.level]} Tidemark`;
  figures.show(samples);
  servers.show(samples.at(-1)?.nodes ?? []);
  events.show(marks);
  showCharts();
}

function showCharts(): void {
  const moments = momentsOf(recent);
  const selected = moments.find(({ from }) => from === cursor.at);
  readsChart.show(moments);
  reasons.show(wholeOf(recent), selected);
  lagChart.show(moments);
}

function showConnection(state: FeedState, trouble: string): void {
  byId("data").dataset.state = state;
  byId("connection").dataset.state = state;
  setText(byId("connection"), words[state]);
  setText(byId("trouble"), trouble);
  byId("trouble").hidden = trouble === "";
}

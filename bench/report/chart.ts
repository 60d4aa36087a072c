/** What was measured of the clients, as an SVG picture. */
import type { Results } from "./results.js";
import type { Figure, Section } from "./section.js";

interface Bar {
  readonly name: string;
  readonly perSecond: Figure;
}

const [width, left, right, rowHeight, barHeight] = [760, 300, 90, 26, 16];
const own = /session/;
const heading = "Operations a second, 64 in flight, one process";

/** Bars for how much each client does in a second with 64 commands in flight; lines show the spread. */
export function chartOf({ sections, date, versions }: Results): string {
  const bars = barsOf(sections.client);
  const most = Math.max(...bars.map(({ perSecond }) => perSecond.most));
  const x = (value: number): number => Math.round(left + (value / most) * (width - left - right));
  const lines = bars.flatMap(({ name, perSecond: { least, median, most } }, row) => {
    const top = 56 + row * rowHeight;
    const middle = top + barHeight / 2;
    return [
      `<text x="${left - 8}" y="${middle + 4}" text-anchor="end">${escaped(name)}</text>`,
      `<rect x="${left}" y="${top}" width="${x(median) - left}" height="${barHeight}" class="${own.test(name) ? "own" : "other"}"/>`,
      `<line x1="${x(least)}" y1="${middle}" x2="${x(most)}" y2="${middle}"/>`,
      `<text x="${x(most) + 6}" y="${middle + 4}">${Math.round(median / 1_000)} k</text>`,
    ];
  });
  const height = 56 + bars.length * rowHeight + 28;
  const { node, ioredis, ...others } = versions;
  const with_ = Object.entries({ node, ioredis, ...others }).map(([name, version]) => `${name} ${version}`);
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="12">`,
    "<style>text{fill:#333}.own{fill:#0b7285}.other{fill:#adb5bd}line{stroke:#333}@media(prefers-color-scheme:dark){text{fill:#ddd}line{stroke:#ddd}}</style>",
    `<title>${heading}</title>`,
    `<text x="12" y="22" font-size="15">${heading}</text>`,
    '<text x="12" y="40">Bars are medians. The lines are the brackets of the table &quot;64 in flight&quot;.</text>',
    ...lines,
    `<text x="12" y="${height - 10}" font-size="10">${escaped([date, ...with_].join(" · "))}</text>`,
    "</svg>",
  ].join("\n")}\n`;
}

function barsOf(client: Section | undefined): Bar[] {
  const table = client?.tables.find(({ title }) => title === "64 in flight");
  if (table === undefined) throw new Error("the results have nothing of clients with 64 in flight");
  return table.rows.map(([name, perSecond]) => {
    if (typeof name !== "string" || typeof perSecond !== "object") throw new Error(`no bar for ${name}`);
    return { name, perSecond };
  });
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

/** The page of the dashboard with feeds that no small deployment sends: many servers, hostile texts, and refusals. */
import { expect, it } from "vitest";
import type { FeedMessages } from "../../src/http/dashboard/feed-messages.js";
import { madeUpHistory } from "../support/browser/made-up-feed.js";
import { PageServer, type Send } from "../support/browser/page-server.js";
import type { PageVisit } from "../support/browser/page-visit.js";
import { describeInBrowser } from "../support/browser/staged-browser.js";
import { waitUntil } from "../support/wait-until.js";

const small = { shards: 1, replicas: 2, unused: 1 };
const large = { shards: 10, replicas: 2, unused: 3 };
const hostile = "<img src=x onerror=alert(1)>";
const visitors = [
  { width: 1280, scheme: "light" },
  { width: 1280, scheme: "dark" },
  { width: 360, scheme: "light" },
  { width: 360, scheme: "dark" },
] as const;

const nothing: FeedMessages["history"] = { samples: [], marks: [], reads: [] };

function historyOf(history: FeedMessages["history"]): { readonly feed: (send: Send) => void } {
  return { feed: (send) => send("history", history) };
}

/** Pairs of labels in one chart that touch each other, and labels that leave it. */
const overlaps = `[...document.querySelectorAll(".chart")].flatMap((chart) => {
  const whole = chart.getBoundingClientRect();
  const boxes = [...chart.querySelectorAll("text")].map((one) => [one.textContent, one.getBoundingClientRect()]);
  const touching = boxes.flatMap(([text, box], index) => boxes.slice(index + 1)
    .filter(([, other]) => box.left < other.right + 4 && other.left < box.right + 4 && box.top + 3 < other.bottom && other.top + 3 < box.bottom)
    .map(([other]) => text + " touches " + other));
  return [...touching, ...boxes.filter(([, box]) => box.left < whole.left || box.right > whole.right + 1).map(([text]) => text + " is cut off")];
})`;

/** Tables that are wider than their card. */
const wideTables = `[...document.querySelectorAll("table")].flatMap((table) => {
  const card = table.parentElement.getBoundingClientRect();
  const box = table.getBoundingClientRect();
  return box.left < card.left || box.right > card.right ? [table.id + " " + box.width + " > " + card.width] : [];
})`;

/** Texts whose contrast to their background is below 4.5, with the contrast. */
const faint = `(() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = (color) => {
    const [red, green, blue] = channels(color).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const backgroundOf = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor;
      if (channels(color)[3] !== 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = new Set();
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || element.closest("noscript") || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const lights = [element.closest("svg") ? style.fill : style.color, backgroundOf(element)].map(luminance);
    const contrast = (Math.max(...lights) + 0.05) / (Math.min(...lights) + 0.05);
    if (contrast < 4.5) found.add(texts.currentNode.data.trim() + " " + contrast.toFixed(2));
  }
  return [...found];
})()`;

/** Colours of charts whose contrast to the card behind them is below 3. */
const faintShapes = `(() => {
  const light = (color) => {
    const [red, green, blue] = color.match(/[\\d.]+/g).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const paper = light(getComputedStyle(document.querySelector("#reads-chart").closest("section")).backgroundColor);
  const colors = [
    ...[...document.querySelectorAll("pattern")].map((one) => [one.id, getComputedStyle(one).color]),
    ...[...document.querySelectorAll(".curve:not(.other), .refused")].map((one) => [one.getAttribute("class"), getComputedStyle(one).stroke]),
    ...[...document.querySelectorAll(".mark, .wait, .fallback")].map((one) => [one.getAttribute("class"), getComputedStyle(one).fill]),
  ];
  return [...new Set(colors.flatMap(([name, color]) => {
    const lights = [paper, light(color)];
    const contrast = (Math.max(...lights) + 0.05) / (Math.min(...lights) + 0.05);
    return contrast < 3 ? [name + " " + contrast.toFixed(2)] : [];
  }))];
})()`;

async function live(visit: PageVisit): Promise<void> {
  await visit.shows("#connection", "Live");
}

/** Points again until the page shows this text of a moment, because a message on top of the page may move what is below it. */
async function pointAt(visit: PageVisit, place: string, moment: RegExp): Promise<void> {
  let share = 0.5;
  const shows = async (): Promise<boolean> => {
    share = share === 0.5 ? 0.51 : 0.5;
    await visit.pointAt(place, share);
    return moment.test(await visit.text("#moment"));
  };
  await waitUntil(shows, { what: `the page shows ${moment} at ${place}` });
}

describeInBrowser("The layout of the dashboard", (browser) => {
  it.each(visitors)("fits $width pixels with 30 servers in a $scheme scheme", async (visitor) => {
    await using server = await PageServer.start(historyOf(madeUpHistory(large)));
    await using visit = await browser.open(server.url, visitor);
    await live(visit);
    await visit.keep(`many-${visitor.scheme}-${visitor.width}`);
    expect(await visit.evaluate("document.documentElement.scrollWidth")).toBe(visitor.width);
    expect(await visit.evaluate(overlaps)).toEqual([]);
    expect(await visit.evaluate(faint)).toEqual([]);
    expect(await visit.evaluate(faintShapes)).toEqual([]);
    expect(visit.complaints).toEqual([]);
  });

  it.each(visitors)(
    "is readable $width pixels wide with three servers in a $scheme scheme",
    async (visitor) => {
      await using server = await PageServer.start(historyOf(madeUpHistory(small)));
      await using visit = await browser.open(server.url, visitor);
      await live(visit);
      await visit.keep(`few-${visitor.scheme}-${visitor.width}`);
      expect(await visit.evaluate("document.documentElement.scrollWidth")).toBe(visitor.width);
      expect(await visit.evaluate(overlaps)).toEqual([]);
      expect(await visit.evaluate(wideTables)).toEqual([]);
      expect(await visit.evaluate(faint)).toEqual([]);
      expect(visit.complaints).toEqual([]);
    },
  );

  it("keeps the page narrow when addresses are long", async () => {
    const nameOf = (shard: number, index: number) =>
      `${"redis-replica-".repeat(8)}${shard}-${index}.internal:6379`;
    await using server = await PageServer.start(historyOf(madeUpHistory({ ...small, nameOf })));
    await using visit = await browser.open(server.url, { width: 360 });
    await live(visit);
    expect(await visit.evaluate("document.documentElement.scrollWidth")).toBe(360);
  });

  it("shows of many servers only those that are not used, until the user asks for all", async () => {
    await using server = await PageServer.start(historyOf(madeUpHistory(large)));
    await using visit = await browser.open(server.url);
    await visit.shows(
      "#verdict-text",
      /^3 of 20 replicas are not used: \S+ has lost the connection to its primary, and 2 more\.$/,
    );
    expect(await visit.count("#servers tbody tr")).toBe(3);
    expect(await visit.text("#no-servers")).toBe("The other 27 servers serve.");
    await visit.tabTo("#all-servers");
    await visit.press("Enter");
    expect(await visit.count("#servers tbody tr")).toBe(30);
    await visit.press("Enter");
    expect(await visit.count("#servers tbody tr")).toBe(3);
  });

  it("names the six replicas that lag most and draws the others thin", async () => {
    await using server = await PageServer.start(historyOf(madeUpHistory(large)));
    await using visit = await browser.open(server.url);
    await live(visit);
    expect(await visit.count("#lags tbody tr")).toBe(6);
    expect(await visit.count(".curve.other")).toBe(14);
    expect(await visit.text("#other-lags")).toBe("The other 14 replicas are drawn thin. They lagged less.");
  });

  it("names only servers that are replicas now, and draws former replicas thin", async () => {
    const history = madeUpHistory(small);
    const samples = history.samples.map((sample, second) =>
      second < 250
        ? sample
        : {
            ...sample,
            nodes: sample.nodes.map((node) =>
              node.address === "10.0.0.11:6379" ? { ...node, role: "primary" as const } : node,
            ),
          },
    );
    await using server = await PageServer.start(historyOf({ ...history, samples }));
    await using visit = await browser.open(server.url);
    await live(visit);
    expect(await visit.texts("#lags .lag-name")).toEqual(["10.0.0.12:6379"]);
    expect(await visit.text("#other-lags")).toBe("Former replicas are drawn thin.");
    expect(await visit.count(".curve.other")).toBe(1);
  });

  it("shows the moment that the user points at, in both charts", async () => {
    await using server = await PageServer.start(historyOf(madeUpHistory(small)));
    await using visit = await browser.open(server.url);
    await live(visit);
    await pointAt(visit, "#reads-chart .mark.warning", /fallbacks\.$/);
    expect(await visit.text("#moment-marks")).toContain("is link-down");
    expect(await visit.count("#lag-chart .cursor")).toBe(1);
    await pointAt(visit, "#lag-chart", /^\d\d:\d\d:\d\d: [\d,]+ reads\.$/);
    expect(await visit.text("#moment-marks")).toBe("");
    await pointAt(visit, "h1", /^Last five minutes: /);
    expect(await visit.count(".cursor")).toBe(0);
  });

  it("shows hostile names and texts as text", async () => {
    const history = madeUpHistory({ ...small, nameOf: (_shard, index) => `${hostile}${index}` });
    const mark = {
      at: history.samples.at(-1)?.at ?? 0,
      kind: "warning",
      text: hostile,
      advice: hostile,
    } as const;
    const reads = history.reads.map((read) => ({ ...read, command: hostile, level: hostile, node: hostile }));
    await using server = await PageServer.start(historyOf({ ...history, marks: [mark], reads }));
    await using visit = await browser.open(server.url);
    await live(visit);
    for (const place of ["#verdict-text", "#servers", "#lags", "#events .advice", "#latest"])
      expect(await visit.text(place)).toContain(hostile);
    await visit.tabTo("#reads-chart");
    expect(await visit.text("#moment-marks")).toContain(hostile);
    expect(await visit.count("img")).toBe(0);
    expect(visit.complaints).toEqual([]);
  });
});

describeInBrowser("The keyboard", (browser) => {
  it("reaches everything that can be used, with a visible focus", async () => {
    await using server = await PageServer.start(historyOf(madeUpHistory(large)));
    await using visit = await browser.open(server.url);
    await live(visit);
    for (const place of [
      "#all-servers",
      "#reads-chart",
      "#lag-chart",
      "#events",
      "#filter",
      "#pause",
      "#latest-scroll",
    ]) {
      await visit.tabTo(place);
      expect(await visit.evaluate("getComputedStyle(document.activeElement).outlineStyle")).toBe("solid");
    }
  });

  it("moves through the moments of a chart, with their counts and the texts of their marks", async () => {
    await using server = await PageServer.start(historyOf(madeUpHistory(small)));
    await using visit = await browser.open(server.url);
    await live(visit);
    const whole = await visit.text("#moment");
    expect(whole).toMatch(/^Last five minutes: /);
    await visit.tabTo("#reads-chart");
    expect(await visit.text("#moment")).toMatch(/^\d\d:\d\d:\d\d: \d+ reads/);
    expect(await visit.count(".cursor")).toBe(2);
    for (let moment = 0; moment < 6; moment += 1) await visit.press("ArrowLeft");
    expect(await visit.text("#moment-marks")).toContain("answered 4 reads without proof");
    const spoken = "document.querySelector('#reads-chart').getAttribute('aria-valuetext')";
    expect(await visit.evaluate(spoken)).toContain("answered 4 reads without proof");
    await visit.press("Home");
    expect(await visit.evaluate("document.querySelector('#reads-chart').ariaValueNow")).toBe("0");
    await visit.press("Escape");
    expect(await visit.text("#moment")).toBe(whole);
  });

  it("pauses the table of reads and lets it go on", async () => {
    let send: Send = () => {};
    const history = madeUpHistory(small);
    await using server = await PageServer.start({
      feed: (to) => {
        send = to;
        to("history", { ...history, reads: [] });
      },
    });
    await using visit = await browser.open(server.url);
    await live(visit);
    const [first, second] = history.reads;
    if (first === undefined || second === undefined) throw new Error("there are no reads");
    send("reads", [{ ...first, command: "first" }]);
    await visit.shows("#latest tbody", "first");
    await visit.tabTo("#pause");
    await visit.press("Enter");
    send("reads", [{ ...second, command: "second" }]);
    await visit.shows("#paused", "Paused. 1 newer reads.");
    expect(await visit.texts("#latest .command")).toEqual(["first"]);
    await visit.press("Space");
    await visit.shows("#latest tbody", "second");
    expect(await visit.texts("#latest .command")).toEqual(["second", "first"]);
    expect(await visit.text("#paused")).toBe("");
  });

  it("filters the table of reads by reason", async () => {
    await using server = await PageServer.start(historyOf(madeUpHistory(small)));
    await using visit = await browser.open(server.url);
    await visit.shows("#latest tbody", "known");
    expect(await visit.count("#latest tbody tr")).toBe(100);
    await visit.tabTo("#filter");
    for (const letter of ["r", "e", "p"] as const) await visit.press(letter);
    await visit.shows("#latest tbody", "replica-failed");
    expect(new Set(await visit.texts("#latest .reason"))).toEqual(new Set(["replica-failed"]));
    await visit.press("End");
    expect(await visit.text("#no-latest")).toBe("No reads with the reason no-replica.");
  });
});

describeInBrowser("The state of the feed", (browser) => {
  it.concurrent("is connecting before the first message, without data", async () => {
    await using server = await PageServer.start({ feed: () => {}, isSilent: true });
    await using visit = await browser.open(server.url);
    expect(await visit.text("#connection")).toBe("Connecting");
    expect(await visit.text("#verdict-text")).toBe("There is no data yet.");
    expect(await visit.text("#no-servers")).toBe("No server is known yet.");
    expect(visit.complaints).toEqual([]);
  });

  it.concurrent("is live with an empty history, and shows the first sample", async () => {
    const sample = madeUpHistory({ shards: 1, replicas: 0 }).samples.at(-1);
    if (sample === undefined) throw new Error("there is no sample");
    let send: Send = () => {};
    await using server = await PageServer.start({
      feed: (to) => {
        send = to;
        to("history", nothing);
      },
    });
    await using visit = await browser.open(server.url);
    await live(visit);
    expect(await visit.text("#verdict-text")).toBe("There is no data yet.");
    send("sample", sample);
    await visit.shows("#verdict-text", "There is no replica. The primary answers all reads.");
    expect(await visit.text("#other-lags")).toBe("No replica is known.");
  });

  it.concurrent.each([
    { status: 403, text: "Only this machine may see this dashboard of Tidemark." },
    { status: 503, text: "20 pages show this dashboard already." },
  ])("shows what the app answers with status $status, and recovers", async (refusal) => {
    await using server = await PageServer.start({ ...historyOf(madeUpHistory(small)), refusal });
    await using visit = await browser.open(server.url);
    await visit.shows("#connection", "Refused");
    expect(await visit.text("#trouble")).toBe(
      `The app refused with status ${refusal.status}. ${refusal.text}`,
    );
    server.answers = historyOf(madeUpHistory(small));
    await live(visit);
    expect(await visit.text("#trouble")).toBe("");
  });

  it.concurrent("is lost when a connection that looks open brings nothing for five seconds", async () => {
    const history = madeUpHistory(small);
    const counter = { viewers: 0 };
    await using server = await PageServer.start({
      isSilent: true,
      feed: (send) => {
        counter.viewers += 1;
        if (counter.viewers === 1) send("history", history);
      },
    });
    await using visit = await browser.open(server.url);
    await live(visit);
    await visit.shows("#connection", "Connection lost");
    expect(await visit.text("#trouble")).toBe("The app has sent nothing for five seconds. Trying again.");
    await waitUntil(() => counter.viewers > 2, {
      what: "the page has connected twice again",
      timeoutMs: 30_000,
    });
  });

  it.concurrent("replaces everything by the history of a new connection", async () => {
    const later = { ...madeUpHistory({ shards: 1, replicas: 1 }), marks: [], reads: [] };
    const histories = [madeUpHistory(small), later];
    await using server = await PageServer.start({
      feed: (send) => send("history", histories.shift() ?? later),
    });
    await using visit = await browser.open(server.url);
    await visit.shows("#verdict-text", "1 of 2 replicas is not used");
    server.hangUp();
    await visit.shows("#verdict-text", "The replica serves.");
    expect(await visit.count("#servers tbody tr")).toBe(2);
    expect(await visit.text("#no-events")).toBe("Nothing has happened.");
    expect(await visit.text("#no-latest")).toBe("No reads yet.");
    await using fresh = await browser.open(server.url);
    await fresh.shows("#moment", /^Last five minutes: [1-9]/);
    expect(await visit.text("#moment")).toBe(await fresh.text("#moment"));
  });
});

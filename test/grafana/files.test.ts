/** The dashboard and the alert rules as files: what they refer to exists, and the alerts fire at the right times. */
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Tidemark } from "../../src/index.js";
import { findPrometheus, promtool } from "../support/servers/prometheus.js";
import { root } from "../support/sources/built-package.js";
import { alertRules, alerts, dashboard, dashboardQueries } from "../support/sources/grafana-files.js";

const program = await findPrometheus();
if (program === undefined) process.stderr.write("no promtool here: the times of alerts are not tested\n");

const page = (name: string): string => readFileSync(join(root, "docs", name), "utf8");
const panels = dashboard.panels.filter(({ type }) => type !== "row");

/** The names of all series that a process shows. */
async function shownNames(): Promise<Set<string>> {
  await using tidemark = new Tidemark({ primary: "redis://127.0.0.1:1", replicas: [] });
  tidemark.redis.on("error", () => {});
  const types = tidemark.prometheus().matchAll(/^# TYPE (\w+) (\w+)$/gm);
  const names = [...types].flatMap(([, name = "", type]) =>
    type === "histogram" ? ["_bucket", "_sum", "_count"].map((suffix) => name + suffix) : [name],
  );
  return new Set(names);
}

/** The names of the series that a text asks for. */
function namesIn(text: string): string[] {
  return [...text.matchAll(/(?<![:\w])tidemark_\w+/g)].map(([name]) => name);
}

/** The values that a text lists for a label, such as `reason`. */
function valuesIn(text: string, label: string): string[] {
  const lists = text.matchAll(new RegExp(`\\b${label}(?:=|=~|!=|!~)"([a-z|-]+)"`, "g"));
  return [...lists].flatMap(([, list = ""]) => list.split("|"));
}

/** What the first column of a table in docs/topologies.md names. */
function documentedAs(value: string): RegExp {
  return new RegExp(`^\\| \`${value}\` \\|`, "m");
}

const allQueries = [alertRules, ...dashboardQueries.map(({ expr }) => expr)].join("\n");

describe("the dashboard and the alerts", () => {
  it("ask only for metrics that a process shows", async () => {
    const shown = await shownNames();
    expect(namesIn(allQueries).filter((name) => !shown.has(name))).toEqual([]);
    expect(shown.size).toBeGreaterThan(30);
  });

  it("ask only for documented reasons and states", () => {
    const topologies = page("topologies.md");
    const values = [...valuesIn(allQueries, "reason"), ...valuesIn(allQueries, "state")];
    expect(values).toEqual(expect.arrayContaining(["behind", "silent"]));
    expect(values.filter((value) => !documentedAs(value).test(topologies))).toEqual([]);
  });

  it("are part of the package", () => {
    const { files }: { files: string[] } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    expect(files).toContain("grafana");
  });
});

describe("the dashboard", () => {
  it("has a stable uid, and no id of one Grafana", () => {
    expect(dashboard.uid).toBe("tidemark");
    expect(dashboard.id).toBeUndefined();
    expect(dashboard.templating.list.map(({ name }) => name)).toEqual(["datasource", "job", "instance"]);
  });

  it.each(panels)(
    "says in the panel $title what it shows, what is normal or what to do",
    ({ description }) => {
      expect(description).toMatch(/^[A-Z].*\. .*\.$/);
    },
  );

  it.each(panels)(
    "asks in the panel $title the chosen data source for the chosen processes",
    ({ targets = [] }) => {
      expect(targets.length).toBeGreaterThan(0);
      for (const { expr, datasource } of targets) {
        // biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana fills it in.
        expect(datasource.uid).toBe("${datasource}");
        const selectors = expr.match(/tidemark_\w+\{job=~"\$job", instance=~"\$instance"/g) ?? [];
        expect(selectors).toHaveLength(namesIn(expr).length);
      }
    },
  );

  it("has panels that lie side by side, each with an id of its own", () => {
    const taken = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, i) => `${x + (i % w)}:${y + Math.floor(i / w)}`),
    );
    expect(new Set(taken).size).toBe(taken.length);
    expect(Math.max(...dashboard.panels.map(({ gridPos: { x, w } }) => x + w))).toBe(24);
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  });
});

/** The anchor of a heading, as GitHub makes it. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\w\s-]/g, "")
    .replaceAll(/\s/g, "-");
}

describe.each([...alerts])("the alert %s", (name, text) => {
  it("says what has happened and what to do, and how bad it is", () => {
    expect(text).toMatch(/^ +severity: (critical|warning)$/m);
    expect(text).toMatch(/^ +summary: ".+"$/m);
    expect(text).toMatch(/^ +description: >-\n(?: {12}.+\n)+/m);
  });

  it("names a page that exists", () => {
    const [, file = "", anchor] = /^ +runbook: ([\w/.-]+\.md)(?:#([\w-]+))?$/m.exec(text) ?? [];
    expect(existsSync(join(root, file))).toBe(true);
    const headings = readFileSync(join(root, file), "utf8").matchAll(/^#+ (.+)$/gm);
    const anchors = [...headings].map(([, heading = ""]) => anchorOf(heading));
    if (anchor !== undefined) expect(anchors).toContain(anchor);
  });

  it("is described in docs/statistics.md", () => {
    expect(page("statistics.md")).toMatch(new RegExp(`^\\| \`${name}\` \\|`, "m"));
  });
});

describe.skipIf(program === undefined)("promtool", () => {
  it.each([
    ["check", "grafana/alerts.yml"],
    ["test", "test/grafana/alerts.test.yml"],
    ["test", "test/grafana/alerts-of-a-day.test.yml"],
  ])("finds the rules right: %s rules %s", async (verb, file) => {
    if (program === undefined) return;
    expect(await promtool(program, verb, "rules", join(root, file))).toContain("SUCCESS");
  });
});

/** A query as Prometheus gets it from Grafana, for all apps and processes. */
function filledIn(expr: string): string {
  return expr.replaceAll(/\$(?:job|instance)\b/g, ".+").replaceAll("$__rate_interval", "5m");
}

const [, shareInDocs = ""] = /^```text\n(.*?)^```/ms.exec(page("statistics.md")) ?? [];
const shareQueries = [
  { place: "docs/statistics.md", expr: shareInDocs },
  ...dashboardQueries.flatMap(({ title, expr }) =>
    /replicas answer/.test(title) ? [{ place: `the panel “${title}”`, expr: filledIn(expr) }] : [],
  ),
];

describe.skipIf(program === undefined)("the share of reads that replicas answer", () => {
  const commands = (labels: string, perMinute: number) => ({
    series: `tidemark_commands_total{job="shop", instance="a", ${labels}}`,
    values: `0+${perMinute}x10`,
  });
  const lostWrites = { series: 'tidemark_lost_writes_total{job="shop", instance="a"}', values: "0x10" };
  const ofReplicas = commands('role="replica", reason="known"', 75);
  const ofPrimary = commands('role="primary", reason="behind"', 25);
  const discarded = [
    commands('role="replica", reason="checked"', 25),
    commands('role="primary", reason="missing-key"', 25),
  ];

  it.each(
    shareQueries.flatMap(({ place, expr }) => [
      { place, expr, when: "no read was sent again", series: [ofReplicas, ofPrimary], share: 0.75 },
      { place, expr, when: "reads were sent again", series: [ofReplicas, ...discarded], share: 0.75 },
      { place, expr, when: "no replica has answered yet", series: [ofPrimary], share: 0 },
    ]),
  )("is right by the query of $place when $when", async ({ expr, series, share }) => {
    if (program === undefined) return;
    const folder = await mkdtemp(join(tmpdir(), "share-"));
    try {
      const labels = /sum by \(job\)/.test(expr) ? '{job="shop"}' : "{}";
      const test = {
        interval: "1m",
        input_series: [lostWrites, ...series],
        promql_expr_test: [{ expr, eval_time: "10m", exp_samples: [{ labels, value: share }] }],
      };
      // JSON is YAML.
      await writeFile(join(folder, "share.test.yml"), JSON.stringify({ tests: [test] }));
      expect(await promtool(program, "test", "rules", join(folder, "share.test.yml"))).toContain("SUCCESS");
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

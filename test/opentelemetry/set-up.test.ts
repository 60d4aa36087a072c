/** The set-up of traces that docs/opentelemetry.md shows, in a process of its own. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, expect, it } from "vitest";
import { type Metric, metrics } from "../../src/diagnostics/metrics.js";
import type { Tidemark } from "../../src/index.js";
import { registerMetrics } from "../../src/opentelemetry/opentelemetry.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { buildIfStale, root } from "../support/sources/built-package.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";

const run = promisify(execFile);

let page: string;
let group: ReplicationGroup;
let tidemark: Tidemark;

stageTidemark({ replicas: 1 }, (stage) => {
  ({ group, tidemark } = stage);
});

beforeAll(async () => {
  await buildIfStale();
  page = await readFile(join(root, "docs/opentelemetry.md"), "utf8");
});

/** The first piece of code below a heading of the page. */
function codeBelow(heading: string): string {
  const [, below = ""] = page.split(`${heading}\n`);
  return /^```ts\n(.*?)^```/ms.exec(below)?.[1] ?? "";
}

/** Runs the set-up of the page in front of `app`, and returns what is printed. */
async function runWithTracing(app: string, tracing = codeBelow("## Traces")): Promise<string> {
  // Inside of the repository, because an app outside would need an installed package.
  const folder = await mkdtemp(join(root, "test/opentelemetry/set-up-"));
  try {
    await writeFile(join(folder, "tracing.js"), tracing);
    await writeFile(join(folder, "app.js"), app);
    const { stdout } = await run(process.execPath, [
      "--import",
      join(folder, "tracing.js"),
      join(folder, "app.js"),
    ]);
    return stdout;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The names of the spans that were printed. */
function spansIn(printed: string): (string | undefined)[] {
  return [...printed.matchAll(/^ {2}name: '(.*)'/gm)].map(([, name]) => name);
}

it("traces the commands of an ES module with the attributes of Tidemark", async () => {
  const app = `
    import { trace } from "@opentelemetry/api";
    import { Tidemark } from "tidemark";
    const tidemark = new Tidemark({ primary: "${group.primary.url}", replicas: [] });
    await trace.getTracer("app").startActiveSpan("request", async (span) => {
      await tidemark.session().redis.set("k", "v");
      span.end();
    });
    await tidemark.close();
    await trace.getTracerProvider().getDelegate().forceFlush();`;
  const printed = await runWithTracing(app);
  expect(spansIn(printed)).toEqual(["set", "request"]);
  expect(printed).toContain("'tidemark.reason': 'not-a-read'");
  expect(printed).toContain(`'server.port': ${group.primary.port}`);
});

it("traces the commands of a request to an Express app, below the span of the request", async () => {
  const app = `
    import { once } from "node:events";
    import { trace } from "@opentelemetry/api";
    import express from "express";
    import { Tidemark } from "tidemark";
    import { readYourWrites } from "tidemark/express";
    const tidemark = new Tidemark({ primary: "${group.primary.url}", replicas: [] });
    const app = express();
    app.use(readYourWrites(tidemark, { secret: "a secret of this test" }));
    app.get("/", async (req, res) => res.json(await req.redis.set("k", "v")));
    const server = app.listen(0, "127.0.0.1");
    await once(server, "listening");
    await (await fetch("http://127.0.0.1:" + server.address().port)).text();
    server.close();
    server.closeAllConnections();
    await tidemark.close();
    await trace.getTracerProvider().getDelegate().forceFlush();`;
  expect(spansIn(await runWithTracing(app))).toEqual(["set", "GET"]);
});

it("leaves only the spans of connecting when the spans of Tidemark's own commands are dropped", async () => {
  const app = `
    import { trace } from "@opentelemetry/api";
    import { Tidemark } from "tidemark";
    const tidemark = new Tidemark({ primary: "${group.primary.url}", replicas: [] });
    await tidemark.ready();
    await tidemark.redis.set("k", "v");
    await tidemark.close();
    await trace.getTracerProvider().getDelegate().forceFlush();`;
  const without = codeBelow("### Commands outside of requests");
  const [, provider = ""] = /^(new NodeTracerProvider\(.*)$/m.exec(without) ?? [];
  const tracing = codeBelow("## Traces").replace(
    "n({ requestHook })",
    "n({ requestHook, requireParentSpan: false })",
  );
  const spans = spansIn(await runWithTracing(app, tracing));
  expect(spans).toEqual(expect.arrayContaining(["connect", "set", "info"]));

  const imports = without.replace(provider, "");
  const exporter = "{ spanProcessors: [new BatchSpanProcessor(new ConsoleSpanExporter())], ";
  const sampled = tracing
    .replace(/^new NodeTracerProvider.*$/m, provider.replace("{ ", exporter))
    .replace(
      "BatchSpanProcessor, ConsoleSpanExporter, NodeTracerProvider",
      "BatchSpanProcessor, ConsoleSpanExporter",
    );
  expect(new Set(spansIn(await runWithTracing(app, imports + sampled)))).toEqual(new Set(["connect", "set"]));
});

it("is described with the metrics that are registered", async () => {
  const made: string[][] = [];
  const note =
    (kind: string) =>
    (name: string, { unit = "" }: { readonly unit?: string }) => {
      made.push([name, kind, unit]);
      return { record: () => {} };
    };
  registerMetrics(tidemark, {
    createObservableCounter: note("counter"),
    createObservableGauge: note("gauge"),
    createHistogram: note("histogram"),
    addBatchObservableCallback: () => {},
    removeBatchObservableCallback: () => {},
  })();
  const rows = [...page.matchAll(/^\| `(tidemark\.\w+)` \| (\w+) \| (?:`(.*?)`)? *\| (.*?) *\|$/gm)];
  expect(rows.map(([, name, kind, unit = ""]) => [name, kind, unit]).toSorted()).toEqual(made.toSorted());
  const { mode, rollout, limits } = tidemark;
  const measured = { mode, rollout, limits, stats: tidemark.stats(), nodes: tidemark.topology() };
  const labelsOf = ({ samples }: Metric): string[] => Object.keys(samples(measured)[0]?.[0] ?? {});
  for (const metric of metrics) {
    const [, , , , described = ""] = rows.find(([, name]) => name === metric.name) ?? [];
    const names = labelsOf(metric).flatMap((label) =>
      label === "node" ? ["server.address", "server.port"] : [`tidemark.${label}`],
    );
    expect([metric.name, described]).toEqual([metric.name, names.map((name) => `\`${name}\``).join(", ")]);
  }
});

it("is described with the attributes that the code adds", async () => {
  const code = await readFile(join(root, "src/opentelemetry/traces.ts"), "utf8");
  const [, members = ""] = /interface CommandAttributes \{(.*?)^\}/ms.exec(code) ?? [];
  const added = [...members.matchAll(/readonly "(.*?)"/g)].map(([, name]) => name);
  expect(added).not.toEqual([]);
  expect([...page.matchAll(/^\| `(tidemark\.\w+)` \| [^|]+ \|$/gm)].map(([, name]) => name)).toEqual(added);
});

/**
 * `npm run bench [-- part …]`: everything that is measured, one part after another, each in a process of its own. What was
 * measured at full scale takes the place of what `results.json` says of it; a part that is measured alone says where and when.
 *
 * - `--quick` does a tenth of the work, in about five minutes. In `http` it measures Express, plain and with Tidemark, on the
 *   Node that runs it and on Node 24. It changes no results. `BENCH_SCALE=0.3` does another share of the work.
 * - `--only express,24` restricts `http` to these frameworks and these versions of Node. It changes no results.
 */

import { readFile, writeFile } from "node:fs/promises";
import { cpus, release } from "node:os";
import { parseArgs } from "node:util";
import { findRedisServer } from "../test/support/servers/redis-binary.js";
import { markdownOf, whereOf } from "./report/markdown.js";
import type { Results } from "./report/results.js";
import type { Section, SectionQuestion } from "./report/section.js";
import { Worker } from "./report/worker.js";

const all = ["client", "server", "http", "routing", "wait", "app", "shadow", "scale"];
const packages = [
  ...["ioredis", "redis", "@valkey/valkey-glide"],
  ...["express", "koa", "fastify", "hono", "@hono/node-server", "@koa/router", "cookie-session"],
  ...["express-session", "connect-redis", "express-rate-limit", "rate-limit-redis"],
];

const { values, positionals: asked } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: "boolean" }, only: { type: "string" } },
});
const scale = Number(process.env.BENCH_SCALE ?? (values.quick ? 0.1 : 1));
const only = values.only?.split(",");
const unknown = asked.filter((name) => !all.includes(name));
if (unknown.length > 0) throw new Error(`no part ${unknown.join(", ")}; there are ${all.join(", ")}`);

const sections: Record<string, Section> = {};
for (const name of asked.length > 0 ? asked : all) {
  using worker = new Worker(new URL(`./${name}/section.js`, import.meta.url));
  const section = await worker.ask<Section>({ scale, only } satisfies SectionQuestion);
  sections[name] = section;
  console.log(markdownOf(section));
}

if (scale < 1) {
  const rough =
    "These figures are rough. Allocated bytes can be compared with those of another short run. Ratios of CPU show only large " +
    "changes. Rates, response times, intervals and goals need a full run.";
  console.log(rough);
}
if (scale === 1 && only === undefined) {
  const file = new URL("results.json", import.meta.url);
  const before: Partial<Results> = JSON.parse(await readFile(file, "utf8").catch(() => "{}"));
  const now = await circumstances();
  const isWhole = all.every((name) => name in sections);
  for (const [name, section] of Object.entries(sections))
    if (!isWhole) sections[name] = { ...section, where: whereOf(now) };
  const known = { ...before.sections, ...sections };
  const inOrder = Object.entries(known).toSorted(([one], [other]) => all.indexOf(one) - all.indexOf(other));
  const results: Results = { ...now, ...(isWhole ? {} : before), sections: Object.fromEntries(inOrder) };
  await writeFile(file, `${JSON.stringify(results, undefined, 2)}\n`);
}

async function circumstances(): Promise<Omit<Results, "sections">> {
  const { flavour, version } = await findRedisServer();
  const [cpu] = cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus().length} cores, ${cpu?.model.trim()}, ${process.platform} ${release()}`,
    versions: {
      node: process.versions.node,
      [`${flavour}-server`]: version,
      ...Object.fromEntries(await Promise.all(packages.map(versionOf))),
    },
  };
}

async function versionOf(name: string): Promise<[string, string]> {
  const text = await readFile(new URL(`../node_modules/${name}/package.json`, import.meta.url), "utf8");
  return [name === "redis" ? "node-redis" : name, JSON.parse(text).version];
}

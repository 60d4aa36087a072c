/** `npm run bench:report`: the page and the picture of what was measured last, made from `results.json` alone. */
import { readFile, writeFile } from "node:fs/promises";
import { chartOf } from "./chart.js";
import { pageOf } from "./markdown.js";
import type { Results } from "./results.js";

const results: Results = JSON.parse(await readFile(new URL("../results.json", import.meta.url), "utf8"));
const docs = new URL("../../docs/", import.meta.url);
await writeFile(new URL("benchmarks.md", docs), pageOf(results));
await writeFile(new URL("benchmarks.svg", docs), chartOf(results));

/** `npm run example -- NAME`: each example runs on its own, shows its point, and leaves nothing behind. */
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { hasDoublings } from "../support/doublings.js";
import { buildIfStale, root } from "../support/sources/built-package.js";
import { waitUntil } from "../support/wait-until.js";

const run = promisify(execFile);
const folder = join(root, "examples");
const names = readdirSync(folder, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

/** These have tests of their own, test/serve.test.ts and test/demo.test.ts. */
const runElsewhere = ["cart", "stale-read"];

/** The tests of their apps in this folder prove what the other examples show. */
const tested = names
  .filter((name) => !runElsewhere.includes(name))
  .filter((name) => hasDoublings || name === "quick-start");

/** Arguments by which an example takes less time. */
const shortened: Readonly<Record<string, readonly string[]>> = { login: ["20"] };

/** The environment of the example's processes and of the processes that they start. */
const mark = `TIDEMARK_EXAMPLE_RUN=${randomUUID()}`;

const runExample = (...args: string[]) => {
  const [key = "", value] = mark.split("=");
  return run(process.execPath, ["--import", "tsx", "examples/run.ts", ...args], {
    cwd: root,
    env: { ...process.env, [key]: value },
  });
};

/** Where there is a /proc, the processes of the examples that still run. */
async function leftBehind(): Promise<string[]> {
  const ids = (await readdir("/proc").catch(() => [])).filter((id) => /^\d+$/.test(id));
  const environments = await Promise.all(
    ids.map((id) => readFile(`/proc/${id}/environ`, "utf8").catch(() => "")),
  );
  return ids.filter((_id, i) => environments[i]?.includes(mark));
}

beforeAll(buildIfStale);

describe.each(names)("examples/%s", (name) => {
  it("has a line in the table of examples, and a README", async () => {
    expect(await readFile(join(folder, "README.md"), "utf8")).toContain(`| [${name}](${name}) |`);
    expect(existsSync(join(folder, name, "README.md"))).toBe(true);
  });
});

it.each(tested)("%s shows users' results, and ends everything it has started", async (name) => {
  const { stdout } = await runExample(name, ...(shortened[name] ?? []));
  // It exits with 1 where something had to be seen and was not.
  expect(stdout).toContain("✓");
  await waitUntil(async () => (await leftBehind()).length === 0, { what: "all its processes have ended" });
});

it("lists the examples for an unknown name", async () => {
  await expect(runExample("nothing")).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining("two-services"),
  });
});

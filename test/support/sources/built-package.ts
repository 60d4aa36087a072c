/** The package as it is built, for tests of what is published. */
import { execFile } from "node:child_process";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

/** The folder of the repository. */
export const root = fileURLToPath(new URL("../../..", import.meta.url));

/** Builds when a source is newer than what was built: over what is there, because other tests may be using it. */
export async function buildIfStale(): Promise<void> {
  const builtAt = await changedAt("dist/index.js").catch(() => 0);
  const names = await readdir(join(root, "src"), { recursive: true });
  const sources = names.filter((name) => name.endsWith(".ts"));
  const times = await Promise.all(sources.map((name) => changedAt(join("src", name))));
  if (Math.max(...times) > builtAt) await run("npx", ["tsc", "-p", "tsconfig.build.json"], { cwd: root });
}

async function changedAt(path: string): Promise<number> {
  return (await stat(join(root, path))).mtimeMs;
}

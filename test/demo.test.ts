/** `npm run demo`, cut short: what the README says must show in the table. */
import { execFile } from "node:child_process";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));
const cells = /\s{3,}/;

describe("npm run demo", () => {
  beforeAll(buildIfStale);

  it("shows stale reads with replicas at random and none with Tidemark, and exits with 0", async () => {
    const args = ["--import", "tsx", "examples/cart/demo.ts", "--seconds", "1"];
    const { stdout } = await run(process.execPath, args, { cwd: root });
    const lines = stdout.split("\n").map((line) => line.trim());
    const start = lines.findIndex((line) => line.startsWith("───"));
    const rows = lines.slice(start + 1, start + 6).map((line) => line.split(cells));
    expect(lines[start + 6]).toBe("");
    expect(rows.map(([name]) => name)).toEqual([
      "everything on the primary",
      "replicas at random",
      "replica first, primary on a miss",
      "2 s on the primary after a write",
      "Tidemark",
    ]);
    expect(new Set(rows.map(([, reads]) => reads)).size).toBe(1);
    const stale = rows.map(([, , count = ""]) => Number.parseInt(count, 10));
    expect(stale[1]).toBeGreaterThan(0);
    expect(stale[4]).toBe(0);
    expect(rows[0]?.[3]).toBe("100 %");
    expect(rows[1]?.[3]).toBe("0 %");
    expect(lines.join(" ")).toContain("with Tidemark in none");
  });

  it("refuses a duration that is none", async () => {
    const args = ["--import", "tsx", "examples/cart/demo.ts", "--seconds", "soon"];
    await expect(run(process.execPath, args, { cwd: root })).rejects.toMatchObject({ code: 2 });
  });
});

/** The example imports the package as it is published, so the build must be that of these sources. */
async function buildIfStale(): Promise<void> {
  const builtAt = await changedAt("dist/http/express.js").catch(() => 0);
  const sources = (await readdir(join(root, "src"), { recursive: true })).filter((name) =>
    name.endsWith(".ts"),
  );
  const times = await Promise.all(sources.map((name) => changedAt(join("src", name))));
  // Over what is there, because other tests may be using it.
  if (Math.max(...times) > builtAt) await run("npx", ["tsc", "-p", "tsconfig.build.json"], { cwd: root });
}

async function changedAt(path: string): Promise<number> {
  return (await stat(join(root, path))).mtimeMs;
}

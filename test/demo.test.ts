/** `npm run demo`, shortened: the table shows the claims of the README. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { buildIfStale, root } from "./support/sources/built-package.js";

const run = promisify(execFile);
const cells = /\s{3,}/;

describe("npm run demo", () => {
  beforeAll(buildIfStale);

  it("shows stale reads from random replicas and none with Tidemark, and exits with 0", async () => {
    const args = ["--import", "tsx", "examples/stale-read/demo.ts", "--seconds", "1"];
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

  it("refuses an invalid duration", async () => {
    const args = ["--import", "tsx", "examples/stale-read/demo.ts", "--seconds", "soon"];
    await expect(run(process.execPath, args, { cwd: root })).rejects.toMatchObject({ code: 2 });
  });
});

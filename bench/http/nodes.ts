/** The versions of Node on which apps are measured. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** Those that users run. */
export const majors = ["20", "22", "24"] as const;

export interface Node {
  readonly major: string;
  readonly execPath: string;
  /** The whole of it, such as "24.1.0". */
  readonly version: string;
}

const run = promisify(execFile);

/** Whether this process runs on it. */
export function isRunning(major: string): boolean {
  return process.versions.node.startsWith(`${major}.`);
}

/** Fetches the Node into `.nodes` if it is neither there nor the one that runs this; undefined if it cannot be had. */
export async function findNode(major: string): Promise<Node | undefined> {
  if (isRunning(major)) return { major, execPath: process.execPath, version: process.versions.node };
  const prefix = fileURLToPath(new URL(`../../.nodes/${major}`, import.meta.url));
  const name = `node-${process.platform}-${process.arch}`;
  const execPath = `${prefix}/node_modules/${name}/bin/node`;
  try {
    if (!existsSync(execPath))
      await run("npm", ["install", "--no-audit", "--no-fund", "--prefix", prefix, `${name}@${major}`]);
    const { stdout } = await run(execPath, ["--version"]);
    return { major, execPath, version: stdout.trim().slice(1) };
  } catch {
    return undefined;
  }
}

/** The package as npm packs it, installed into an empty project. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { Watchdog } from "../watchdog.js";
import { buildIfStale, root } from "./built-package.js";

const run = promisify(execFile);

interface Packed {
  readonly tarball: string;
  readonly files: readonly string[];
}

let packed: Promise<Packed> | undefined;

/** Packs it once for all projects of this process. */
async function pack(): Promise<Packed> {
  await buildIfStale();
  const folder = await mkdtemp(join(Watchdog.ofThisProcess().folder, "package-"));
  const options = ["--json", "--ignore-scripts", "--pack-destination", folder];
  const report: readonly { filename: string; files: { path: string }[] }[] = JSON.parse(
    await runIn(root, "npm", ["pack", ...options]),
  );
  return {
    tarball: join(folder, report.map(({ filename }) => filename).join()),
    files: report.flatMap(({ files }) => files.map(({ path }) => path)),
  };
}

export class InstalledPackage implements AsyncDisposable {
  readonly tarball: string;
  /** The files that are in it. */
  readonly packed: readonly string[];
  readonly #project: string;

  private constructor(project: string, tarball: string, packed: readonly string[]) {
    this.#project = project;
    this.tarball = tarball;
    this.packed = packed;
  }

  /**
   * Installs it with its dependencies, and links `others` from this repository, so that the registry is asked for no more: names,
   * or pairs of the name that the project knows and the one that they have here.
   */
  static async install(others: readonly (string | readonly [string, string])[]): Promise<InstalledPackage> {
    const project = await mkdtemp(join(tmpdir(), "tidemark-package-"));
    packed ??= pack();
    const { tarball, files } = await packed;
    const installed = new InstalledPackage(project, tarball, files);
    await installed.write(
      "package.json",
      JSON.stringify({ name: "consumer", private: true, version: "1.0.0" }),
    );
    const quietly = ["--prefer-offline", "--legacy-peer-deps", "--ignore-scripts", "--no-audit", "--no-fund"];
    await runIn(project, "npm", ["install", ...quietly, tarball]);
    for (const other of others) {
      const [name, here] = typeof other === "string" ? [other, other] : other;
      const path = join(project, "node_modules", name);
      await mkdir(dirname(path), { recursive: true });
      await symlink(join(root, "node_modules", here), path, "junction");
    }
    return installed;
  }

  /** Writes a file of the project. */
  write(name: string, text: string): Promise<void> {
    return writeFile(this.path(name), text);
  }

  /** Where a file of the project is. */
  path(name: string): string {
    return join(this.#project, name);
  }

  /** Runs a file of the project and gives back what it prints, which is the last line, as JSON. */
  async result(
    name: string,
    text: string,
    args: readonly string[] = [],
    node = process.execPath,
  ): Promise<unknown> {
    await this.write(name, text);
    const stdout = await runIn(this.#project, node, [name, ...args]);
    return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
  }

  /** Runs a tool of this repository. */
  tool(name: string, args: readonly string[]): Promise<string> {
    return runIn(this.#project, join(root, "node_modules/.bin", name), args);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return rm(this.#project, { recursive: true, force: true });
  }
}

/** The output of a program; it is also the message when the program fails. */
async function runIn(cwd: string, program: string, args: readonly string[]): Promise<string> {
  try {
    return (await run(program, args, { cwd })).stdout;
  } catch (error) {
    const { stdout, stderr } = Object.assign({ stdout: "", stderr: "" }, error);
    throw new Error(`${program} ${args.join(" ")}:\n${stdout}${stderr}`, { cause: error });
  }
}

/** Programs from Debian's own packages, unpacked into a folder of the repository: nothing is installed. */

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

const abandonedMs = 600_000;

export interface DebianPackages {
  readonly packages: readonly string[];
  /** Used where apt cannot work out the dependencies itself. */
  readonly libraries: readonly string[];
}

/** Whether packages can be fetched and unpacked here. */
export async function hasDebianTools(): Promise<boolean> {
  const tools = [run("apt-get", ["--version"]), run("dpkg-deb", ["--version"])];
  return (await Promise.allSettled(tools)).every(({ status }) => status === "fulfilled");
}

/** The environment in which programs of an unpacked folder find their libraries. */
export async function libraryPath(folder: string): Promise<Record<string, string>> {
  const libraries: string[] = [];
  for (const parent of [join(folder, "usr/lib"), join(folder, "lib")]) {
    const names = await readdir(parent).catch(() => []);
    libraries.push(...names.filter((name) => name.includes("-linux-")).map((name) => join(parent, name)));
  }
  if (libraries.length === 0) return {};
  const inherited = process.env.LD_LIBRARY_PATH;
  return { LD_LIBRARY_PATH: [...libraries, ...(inherited ? [inherited] : [])].join(":") };
}

/**
 * Fetches into a folder of its own and renames that into place, so that an interrupted fetch leaves nothing
 * that looks whole, and of several processes that fetch at once one wins and the others take its copy. `find` gives the
 * program in a folder, if it is there and runs.
 */
export async function fetchFromDebian<Program>(
  packages: DebianPackages,
  cacheFolder: string,
  find: (folder: string) => Promise<Program | undefined>,
): Promise<Program> {
  await removeAbandonedFetches(cacheFolder);
  await mkdir(dirname(cacheFolder), { recursive: true });
  const scratch = await mkdtemp(`${cacheFolder}.fetch-`);
  try {
    await unpackDebianPackages(scratch, packages);
    const root = join(scratch, "root");
    if (!(await find(root))) throw new Error(`the fetched ${packages.packages[0]} does not run here`);
    await putInPlace(root, cacheFolder, find);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  const program = await find(cacheFolder);
  if (program === undefined) throw new Error(`${cacheFolder} holds no program that runs`);
  return program;
}

async function putInPlace(
  root: string,
  cacheFolder: string,
  find: (folder: string) => Promise<unknown>,
): Promise<void> {
  try {
    await rename(root, cacheFolder);
  } catch {
    if (await find(cacheFolder)) return;
    // The files there do not run: they are incomplete, or from another distribution.
    await rename(cacheFolder, `${root}.broken`);
    await rename(root, cacheFolder);
  }
}

async function removeAbandonedFetches(cacheFolder: string): Promise<void> {
  const parent = dirname(cacheFolder);
  for (const name of await readdir(parent).catch(() => [])) {
    if (!name.startsWith(`${basename(cacheFolder)}.fetch-`)) continue;
    const path = join(parent, name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > abandonedMs) await rm(path, { recursive: true, force: true });
  }
}

/** Leaves the unpacked packages in `scratch`/root. Package lists and archives are kept apart from the system's. */
async function unpackDebianPackages(scratch: string, { packages, libraries }: DebianPackages): Promise<void> {
  const config = join(scratch, "apt.conf");
  const archives = join(scratch, "cache/archives");
  await mkdir(join(scratch, "lists/partial"), { recursive: true });
  await mkdir(join(archives, "partial"), { recursive: true });
  await writeFile(config, aptConfig(scratch));
  const apt = (...args: string[]) => run("apt-get", ["-c", config, "-q", ...args], { cwd: archives });
  // A third-party source that cannot be reached makes update fail although Debian's own lists arrived.
  await apt("update").catch(() => undefined);
  await apt("download", ...packages);
  for (const name of await missingLibraries(apt, packages, libraries))
    await apt("download", name).catch(() => undefined);
  const unpacked = (await readdir(archives)).filter((name) => name.endsWith(".deb"));
  for (const name of unpacked) await run("dpkg-deb", ["-x", join(archives, name), join(scratch, "root")]);
}

function aptConfig(scratch: string): string {
  return [
    `Dir::State::Lists "${scratch}/lists";`,
    `Dir::Cache "${scratch}/cache";`,
    'Debug::NoLocking "1";',
    'APT::Sandbox::User "root";',
    // Container images hang a clean-up of the system's own archives on every update.
    "#clear APT::Update::Post-Invoke;",
    "#clear APT::Update::Post-Invoke-Success;",
    "",
  ].join("\n");
}

/** The libraries an installation would add to this machine: apt simulates it, which needs no rights. */
async function missingLibraries(
  apt: (...args: string[]) => Promise<{ stdout: string }>,
  packages: readonly string[],
  libraries: readonly string[],
): Promise<readonly string[]> {
  try {
    const { stdout } = await apt("-s", "--no-install-recommends", "install", ...packages);
    // Those of JavaScript are for web pages.
    return [...stdout.matchAll(/^Inst (lib(?!js-)\S+)/gm)].map(([, name = ""]) => name);
  } catch {
    return libraries;
  }
}

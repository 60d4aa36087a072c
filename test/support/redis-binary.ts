/**
 * Finds a Redis or Valkey server to run: REDIS_SERVER, then the PATH, then (Debian and Ubuntu) the
 * distribution's own packages unpacked into .cache/redis without installing anything, then the npm package
 * redis-memory-server if it happens to be installed. Docker is left out on purpose: tests stop, freeze and
 * kill servers by process id and put proxies on the loopback, and neither reaches into a container.
 */

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

const CACHE_FOLDER = fileURLToPath(new URL("../../.cache/redis", import.meta.url));
const OLDEST_MAJOR = 6;
const ABANDONED_FETCH_MS = 600_000;
const SERVER_PACKAGES = ["redis-tools", "redis-server"];
/** Used where apt cannot work out the dependencies itself; the names of Debian 11 to 13. */
const LIBRARY_PACKAGES = ["libjemalloc2", "liblzf1", "liblua5.1-0", "libhiredis0.14"];
const REMEDY = "install Redis or Valkey, or set REDIS_SERVER=/path/to/redis-server";

/** A server program that was seen to run. */
export interface RedisBinary {
  readonly path: string;
  /** What must be added to the environment for it to run (its library path). */
  readonly env: Readonly<Record<string, string>>;
  readonly flavour: "redis" | "valkey";
  /** As it prints itself, for example "7.0.15". */
  readonly version: string;
  readonly major: number;
}

/** The first server program that runs, fetching one if the machine has none. */
export async function findRedisServer(cacheFolder = CACHE_FOLDER): Promise<RedisBinary> {
  const chosen = process.env.REDIS_SERVER;
  if (chosen) return probe(chosen).catch((error) => fail(`REDIS_SERVER=${chosen} does not run`, error));
  for (const name of ["redis-server", "valkey-server"]) {
    const binary = await tryProbe(name);
    if (binary && binary.major >= OLDEST_MAJOR) return binary;
  }
  const cached = await tryProbeUnpacked(cacheFolder);
  if (cached) return cached;
  if (await hasDebianTools()) return fetchFromDebian(cacheFolder);
  return (await tryRedisMemoryServer()) ?? fail("no redis-server or valkey-server on the PATH");
}

function fail(reason: string, cause?: unknown): never {
  const detail = cause instanceof Error ? ` (${cause.message.trim().split("\n").at(-1)})` : "";
  throw new Error(`${reason}${detail}: ${REMEDY}`, { cause });
}

async function probe(path: string, env: Record<string, string> = {}): Promise<RedisBinary> {
  const { stdout } = await run(path, ["--version"], { env: { ...process.env, ...env }, timeout: 10_000 });
  const [, name = "", version = ""] = /^(\w+) server v=(\S+)/.exec(stdout) ?? [];
  if (!version) throw new Error(`${path} --version printed ${JSON.stringify(stdout.slice(0, 80))}`);
  const flavour = name.toLowerCase() === "valkey" ? "valkey" : "redis";
  return { path, env, flavour, version, major: Number.parseInt(version, 10) };
}

async function tryProbe(path: string, env?: Record<string, string>): Promise<RedisBinary | undefined> {
  return probe(path, env).catch(() => undefined);
}

/** Debian packages unpacked into `folder`, if they are there and run on this machine. */
async function tryProbeUnpacked(folder: string): Promise<RedisBinary | undefined> {
  const libraries: string[] = [];
  for (const parent of [join(folder, "usr/lib"), join(folder, "lib")]) {
    const names = await readdir(parent).catch(() => []);
    libraries.push(...names.filter((name) => name.includes("-linux-")).map((name) => join(parent, name)));
  }
  const inherited = process.env.LD_LIBRARY_PATH;
  const env = { LD_LIBRARY_PATH: [...libraries, ...(inherited ? [inherited] : [])].join(":") };
  return tryProbe(join(folder, "usr/bin/redis-server"), libraries.length > 0 ? env : {});
}

async function hasDebianTools(): Promise<boolean> {
  const tools = [run("apt-get", ["--version"]), run("dpkg-deb", ["--version"])];
  return (await Promise.allSettled(tools)).every(({ status }) => status === "fulfilled");
}

/**
 * Fetches into a folder of its own and renames that into place, so that an interrupted fetch leaves nothing
 * that looks whole, and of several processes that fetch at once one wins and the others take its copy.
 */
async function fetchFromDebian(cacheFolder: string): Promise<RedisBinary> {
  process.stderr.write("fetching a Redis server into .cache/redis ...\n");
  await removeAbandonedFetches(cacheFolder);
  await mkdir(dirname(cacheFolder), { recursive: true });
  const scratch = await mkdtemp(`${cacheFolder}.fetch-`);
  try {
    await unpackDebianPackages(scratch);
    const root = join(scratch, "root");
    if (!(await tryProbeUnpacked(root))) throw new Error("the fetched redis-server does not run here");
    await putInPlace(root, cacheFolder);
  } catch (error) {
    fail("no Redis server found, and fetching Debian's failed", error);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return (await tryProbeUnpacked(cacheFolder)) ?? fail(`${cacheFolder} holds no server that runs`);
}

async function putInPlace(root: string, cacheFolder: string): Promise<void> {
  try {
    await rename(root, cacheFolder);
  } catch {
    if (await tryProbeUnpacked(cacheFolder)) return;
    // What lies there does not run: half deleted, or from another distribution.
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
    if (Date.now() - mtimeMs > ABANDONED_FETCH_MS) await rm(path, { recursive: true, force: true });
  }
}

/** Leaves the unpacked packages in `scratch`/root. Package lists and archives are kept apart from the system's. */
async function unpackDebianPackages(scratch: string): Promise<void> {
  const config = join(scratch, "apt.conf");
  const archives = join(scratch, "cache/archives");
  await mkdir(join(scratch, "lists/partial"), { recursive: true });
  await mkdir(join(archives, "partial"), { recursive: true });
  await writeFile(config, aptConfig(scratch));
  const apt = (...args: string[]) => run("apt-get", ["-c", config, "-q", ...args], { cwd: archives });
  // A third-party source that cannot be reached makes update fail although Debian's own lists arrived.
  await apt("update").catch(() => undefined);
  await apt("download", ...SERVER_PACKAGES);
  for (const name of await missingLibraries(apt)) await apt("download", name).catch(() => undefined);
  const packages = (await readdir(archives)).filter((name) => name.endsWith(".deb"));
  for (const name of packages) await run("dpkg-deb", ["-x", join(archives, name), join(scratch, "root")]);
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
async function missingLibraries(apt: (...args: string[]) => Promise<{ stdout: string }>): Promise<string[]> {
  try {
    const { stdout } = await apt("-s", "--no-install-recommends", "install", ...SERVER_PACKAGES);
    return [...stdout.matchAll(/^Inst (lib\S+)/gm)].map(([, name = ""]) => name);
  } catch {
    return LIBRARY_PACKAGES;
  }
}

/** The package compiles Redis once and remembers where; it is not a dependency of ours, hence the indirection. */
async function tryRedisMemoryServer(): Promise<RedisBinary | undefined> {
  const specifier: string = "redis-memory-server";
  const module: unknown = await import(specifier).catch(() => undefined);
  const { RedisBinary: finder } = (module ?? {}) as { RedisBinary?: { getPath(): Promise<string> } };
  return finder && tryProbe(await finder.getPath());
}

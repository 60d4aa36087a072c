/**
 * Finds a Redis or Valkey server to run: REDIS_SERVER, then the PATH, then (Debian and Ubuntu) the
 * distribution's own packages unpacked into .cache/redis without installing anything, then the npm package
 * redis-memory-server if it happens to be installed. Docker is left out on purpose: tests stop, freeze and
 * kill servers by process id and put proxies on the loopback, and neither reaches into a container.
 */

import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { fetchFromDebian, hasDebianTools, libraryPath } from "./debian-packages.js";

const run = promisify(execFile);

const CACHE_FOLDER = fileURLToPath(new URL("../../../.cache/redis", import.meta.url));
const OLDEST_MAJOR = 6;
const debianPackages = {
  packages: ["redis-tools", "redis-server"],
  libraries: ["libjemalloc2", "liblzf1", "liblua5.1-0", "libhiredis0.14"],
};
const REMEDY = "install Redis or Valkey, or set REDIS_SERVER=/path/to/redis-server";

/** A server program that was seen to run. */
export interface RedisBinary {
  readonly path: string;
  /** Additions to the environment that the program needs (its library path). */
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
  if (await hasDebianTools()) {
    process.stderr.write("fetching a Redis server into .cache/redis ...\n");
    return fetchFromDebian(debianPackages, cacheFolder, tryProbeUnpacked).catch((error) =>
      fail("no Redis server found, and fetching Debian's failed", error),
    );
  }
  return (await tryRedisMemoryServer()) ?? fail("no redis-server or valkey-server on the PATH");
}

function fail(reason: string, cause?: unknown): never {
  const detail = cause instanceof Error ? ` (${cause.message.trim().split("\n").at(-1)})` : "";
  throw new Error(`${reason}${detail}: ${REMEDY}`, { cause });
}

async function probe(path: string, env: Record<string, string> = {}): Promise<RedisBinary> {
  const { stdout } = await run(path, ["--version"], { env: { ...process.env, ...env }, timeout: 10_000 });
  // Valkey 7 leaves its name out.
  const [, name = "Valkey", version = ""] = /^(?:(\w+) s|S)erver v=(\S+)/.exec(stdout) ?? [];
  if (!version) throw new Error(`${path} --version printed ${JSON.stringify(stdout.slice(0, 80))}`);
  const flavour = name.toLowerCase() === "valkey" ? "valkey" : "redis";
  return { path, env, flavour, version, major: Number.parseInt(version, 10) };
}

async function tryProbe(path: string, env?: Record<string, string>): Promise<RedisBinary | undefined> {
  return probe(path, env).catch(() => undefined);
}

/** Debian packages unpacked into `folder`, if they are there and run on this machine. */
async function tryProbeUnpacked(folder: string): Promise<RedisBinary | undefined> {
  const env = await libraryPath(folder);
  return tryProbe(join(folder, "usr/bin/redis-server"), env);
}

/** The package compiles Redis once and remembers where; it is not a dependency of ours, hence the indirection. */
async function tryRedisMemoryServer(): Promise<RedisBinary | undefined> {
  const specifier: string = "redis-memory-server";
  const module: unknown = await import(specifier).catch(() => undefined);
  const { RedisBinary: finder } = (module ?? {}) as { RedisBinary?: { getPath(): Promise<string> } };
  return finder && tryProbe(await finder.getPath());
}

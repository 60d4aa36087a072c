/**
 * The image that containers run when no registry is asked: the Redis server that is found here, with the libraries it
 * needs and nothing else.
 */

import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { copyFile, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, delimiter, dirname, isAbsolute, join } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import type { ContainerRuntimeClient } from "testcontainers";
import { findRedisServer } from "./redis-binary.js";

const run = promisify(execFile);

const REPOSITORY = "tidemark-redis";
/** Where the server and its libraries lie in the image; the loader of some distributions looks elsewhere by itself. */
export const SERVER_PATH = "/usr/bin/redis-server";
export const LIBRARY_PATH = "/lib";

/** A file of the image, and where it comes from. */
interface Ingredient {
  readonly from: string;
  readonly to: string;
}

/** The image's name; it is imported unless the engine has it already. */
export async function importRedisImage(engine: ContainerRuntimeClient): Promise<string> {
  const ingredients = await ingredientsOfServer();
  const image = `${REPOSITORY}:${await tagOf(ingredients)}`;
  const { dockerode } = engine.container;
  const isThere = await dockerode
    .getImage(image)
    .inspect()
    .catch(() => undefined);
  if (isThere) return image;
  const root = await mkdtemp(join(tmpdir(), "tidemark-image-"));
  try {
    await fillRoot(root, ingredients);
    const tar = spawn("tar", ["-C", root, "-c", "."], { stdio: ["ignore", "pipe", "inherit"] });
    const exited = once(tar, "exit");
    const [repo, tag] = image.split(":");
    const answer = await text(await dockerode.importImage(tar.stdout, { repo, tag }));
    const [code] = await exited;
    // The engine tells of a failure with status 200, in the last line of its answer.
    if (code !== 0 || answer.includes('"error"')) throw new Error(`the image was not imported: ${answer}`);
    return image;
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

async function ingredientsOfServer(): Promise<Ingredient[]> {
  const { path, env } = await findRedisServer();
  const program = isAbsolute(path) ? path : await findOnPath(path);
  const { stdout } = await run("ldd", [program], { env: { ...process.env, ...env } }).catch(() => {
    throw new Error(
      `${program} is no program for Linux containers: set REDIS_IMAGE to an image, like redis:7`,
    );
  });
  const libraries = [...stdout.matchAll(/=> (\/\S+)/g)].map(([, from = ""]) => ({
    from,
    to: `${LIBRARY_PATH}/${basename(from)}`,
  }));
  // The loader alone is named by its path, and asked for at that path.
  const loaders = [...stdout.matchAll(/^\s*(\/\S+) \(/gm)].map(([, from = ""]) => ({ from, to: from }));
  return [{ from: program, to: SERVER_PATH }, ...libraries, ...loaders];
}

async function findOnPath(name: string): Promise<string> {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const path = join(folder, name);
    const runs = await run(path, ["--version"]).catch(() => undefined);
    if (runs) return path;
  }
  throw new Error(`${name} is not on the PATH`);
}

/** Another server or library makes another image, so that what an engine keeps is never an old one. */
async function tagOf(ingredients: readonly Ingredient[]): Promise<string> {
  const hash = createHash("sha256");
  for (const { from, to } of ingredients) hash.update(to).update(await readFile(from));
  return hash.digest("hex").slice(0, 12);
}

async function fillRoot(root: string, ingredients: readonly Ingredient[]): Promise<void> {
  for (const folder of ["data", "tmp"]) await mkdir(join(root, folder));
  for (const { from, to } of ingredients) {
    const path = join(root, to);
    await mkdir(dirname(path), { recursive: true });
    await copyFile(from, path);
  }
}

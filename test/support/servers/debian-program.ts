/** A program that tests start: the one on the PATH, else Debian's, unpacked into a folder of the repository. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type DebianPackages, fetchFromDebian, hasDebianTools, libraryPath } from "./debian-packages.js";

const run = promisify(execFile);

export interface Program {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Undefined where the program cannot be had. */
export async function findProgram(
  name: string,
  versionFlag: string,
  packages: DebianPackages,
): Promise<Program | undefined> {
  const unpacked = async (folder: string): Promise<Program | undefined> => {
    const env = await libraryPath(folder);
    const probe = (within: string) => probeProgram(join(folder, within, name), versionFlag, env);
    return (await probe("usr/sbin")) ?? probe("usr/bin");
  };
  const cacheFolder = fileURLToPath(new URL(`../../../.cache/${name}`, import.meta.url));
  const found = (await probeProgram(name, versionFlag)) ?? (await unpacked(cacheFolder));
  if (found || !(await hasDebianTools())) return found;
  return fetchFromDebian(packages, cacheFolder, unpacked).catch(() => undefined);
}

/** Undefined if the program does not run. */
export async function probeProgram(
  path: string,
  versionFlag: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Program | undefined> {
  const version = run(path, [versionFlag], { env: { ...process.env, ...env } });
  return version.then(
    () => ({ path, env }),
    () => undefined,
  );
}

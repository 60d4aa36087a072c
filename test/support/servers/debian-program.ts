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
  const probe = async (path: string, env: Record<string, string>): Promise<Program | undefined> => {
    const version = run(path, [versionFlag], { env: { ...process.env, ...env } });
    return version.then(
      () => ({ path, env }),
      () => undefined,
    );
  };
  const unpacked = async (folder: string): Promise<Program | undefined> => {
    const env = await libraryPath(folder);
    return (await probe(join(folder, "usr/sbin", name), env)) ?? probe(join(folder, "usr/bin", name), env);
  };
  const cacheFolder = fileURLToPath(new URL(`../../../.cache/${name}`, import.meta.url));
  const found = (await probe(name, {})) ?? (await unpacked(cacheFolder));
  if (found || !(await hasDebianTools())) return found;
  return fetchFromDebian(packages, cacheFolder, unpacked).catch(() => undefined);
}

/** The Docker engine that `.ci/docker` starts where none answers; run by itself, this file fetches it. */

import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { fetchFromDebian, libraryPath } from "./debian-packages.js";

const run = promisify(execFile);

const CACHE_FOLDER = fileURLToPath(new URL("../../../.cache/docker", import.meta.url));
const debianPackages = {
  packages: ["docker.io", "containerd", "runc", "iptables", "iproute2"],
  libraries: ["libip6tc2", "libnetfilter-conntrack3", "libnfnetlink0", "libnftnl11", "libxtables12"],
};

/** The folder, if the engine in it runs. */
async function unpacked(folder: string): Promise<string | undefined> {
  const env = { ...process.env, ...(await libraryPath(folder)) };
  const version = run(join(folder, "usr/sbin/dockerd"), ["--version"], { env });
  return version.then(
    () => folder,
    () => undefined,
  );
}

if ((await unpacked(CACHE_FOLDER)) === undefined) {
  process.stderr.write("fetching a Docker engine into .cache/docker ...\n");
  await fetchFromDebian(debianPackages, CACHE_FOLDER, unpacked).catch((error: unknown) => {
    process.stderr.write(`${String(error).split("\n")[0]}\n`);
    process.exitCode = 1;
  });
}

/** A real HAProxy on a free port that spreads connections over several servers: one endpoint for many replicas. */
import { mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Watchdog } from "../watchdog.js";
import { Daemon } from "./daemon.js";
import { findProgram, type Program } from "./debian-program.js";
import { freePort } from "./free-port.js";
import type { Address } from "./redis-server.js";

const debianPackages = { packages: ["haproxy"], libraries: ["liblua5.3-0", "libopentracing-c-wrapper0"] };

/** The HAProxy on the PATH, else Debian's, unpacked; undefined where neither can be had. */
export function findHaproxy(): Promise<Program | undefined> {
  return findProgram("haproxy", "-v", debianPackages);
}

/** Resolves once it accepts connections, which it then hands to one server after the other. */
export async function startHaproxy(program: Program, servers: readonly Address[]): Promise<Daemon> {
  const folder = await mkdtemp(join(Watchdog.ofThisProcess().folder, "haproxy-"));
  const port = await freePort();
  const file = join(folder, "haproxy.cfg");
  await writeFile(file, configuration(port, servers));
  return Daemon.start({ program, args: ["-f", file, "-db"], port, folder });
}

function configuration(port: number, servers: readonly Address[]): string {
  const lines = servers.map(({ host, port: at }, i) => `  server replica${i} ${host}:${at} check inter 100`);
  return [
    "defaults",
    "  mode tcp",
    "  timeout connect 1s",
    "  timeout client 1m",
    "  timeout server 1m",
    "listen replicas",
    `  bind 127.0.0.1:${port}`,
    "  balance roundrobin",
    // Clients of a server that is gone have to connect again, to another.
    "  default-server on-marked-down shutdown-sessions",
    ...lines,
    "",
  ].join("\n");
}

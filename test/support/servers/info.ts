/** The fields of a server's INFO. */

import type { Redis } from "ioredis";

/** The fields of one section of INFO. */
export async function infoOf(client: Redis, section: string): Promise<Record<string, string>> {
  const text = await client.info(section);
  const fields = text.split("\r\n").filter((line) => line.includes(":"));
  return Object.fromEntries(
    fields.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]),
  );
}

/** How often the server ran a command, named as in INFO commandstats: "get", "config|set". */
export async function callsOf(client: Redis, command: string): Promise<number> {
  const stats = (await infoOf(client, "commandstats"))[`cmdstat_${command.toLowerCase()}`];
  return Number(/calls=(\d+)/.exec(stats ?? "")?.[1] ?? 0);
}

/** Snapshots that a server loads for as long as a test wants, answering with LOADING meanwhile. */

import { waitUntil } from "../wait-until.js";
import { isToldHowToLoad } from "./abilities.js";
import type { RedisServer } from "./redis-server.js";

const [KEYS, KEY_BYTES] = isToldHowToLoad ? [5_000, 60] : [2_500, 20_000];
const DELAY_US = 2_000;

/** Gives `server` data whose snapshot takes long to load. */
export async function fill(server: RedisServer): Promise<void> {
  await server.admin().config("SET", "rdbcompression", "no");
  await server.admin().call("DEBUG", "POPULATE", KEYS, "filler", KEY_BYTES);
}

/** Makes every load of `server` last until `endLoading`, or for five seconds where that cannot be told. */
export async function slowLoading(server: RedisServer): Promise<void> {
  if (isToldHowToLoad) await server.admin().config("SET", "loading-process-events-interval-bytes", 1024);
  await server.admin().config("SET", "key-load-delay", DELAY_US);
}

export async function isLoading(server: RedisServer): Promise<boolean> {
  return (await server.info("persistence")).loading === "1";
}

export async function endLoading(server: RedisServer): Promise<void> {
  if (isToldHowToLoad) await server.admin().config("SET", "key-load-delay", 0);
  await waitUntil(async () => !(await isLoading(server)), {
    what: "the server has loaded its data",
    timeoutMs: 20_000,
  });
}

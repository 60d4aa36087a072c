/** A Tidemark whose servers are named by Sentinels. */

import { type CommonOptions, type SentinelServers, Tidemark } from "../../../src/index.js";
import type { SentinelGroup } from "../servers/sentinel-group.js";

/** Options in addition to the Sentinels of the group, or in their place. */
export type WatchedOptions = Partial<SentinelServers & CommonOptions>;

/** Asks all Sentinels of the group; `options` come on top. */
export function openWatched(group: SentinelGroup, options: WatchedOptions = {}): Tidemark {
  const sentinels = group.sentinels.map(({ host, port }) => ({ host, port }));
  return new Tidemark({ sentinels, name: group.name, ...options });
}

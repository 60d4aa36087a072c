/** A Tidemark on the servers of a replication group. */

import { Tidemark, type TidemarkOptions } from "../../src/index.js";
import type { ReplicationGroup } from "./replication-group.js";

/** Connects to the group's primary and all its replicas, past their lag proxies; `options` come on top. */
export function openTidemark(group: ReplicationGroup, options: Partial<TidemarkOptions> = {}): Tidemark {
  const replicas = group.replicas.map(({ server }) => server.url);
  return new Tidemark({ primary: group.primary.url, replicas, ...options });
}

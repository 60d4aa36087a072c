/** A Tidemark on the servers of a replication group. */

import { type CommonOptions, type PrimaryServers, Tidemark } from "../../../src/index.js";
import type { ReplicationGroup } from "../servers/replication-group.js";

/** Options in addition to the servers of the group, or in their place. */
export type GroupOptions = Partial<PrimaryServers & CommonOptions>;

/** Connects to the group's primary and all its replicas, past their lag proxies; `options` come on top. */
export function openTidemark(group: ReplicationGroup, options: GroupOptions = {}): Tidemark {
  const replicas = group.replicas.map(({ server }) => server.url);
  return new Tidemark({ primary: group.primary.url, replicas, ...options });
}

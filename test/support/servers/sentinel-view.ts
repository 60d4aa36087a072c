/** The nodes and the other sentinels that one sentinel knows. */

import type { RedisServer } from "./redis-server.js";

export interface SentinelView {
  readonly primary: number;
  /** "master" alone while all is well. */
  readonly flags: string | undefined;
  readonly epoch: number;
  readonly otherSentinels: number;
  /** The flags of each replica by its port; "slave" alone while all is well. */
  readonly replicas: ReadonlyMap<number, string | undefined>;
}

export async function viewOf(sentinel: RedisServer, name: string): Promise<SentinelView> {
  const [address, primary, replicas] = await Promise.all([
    // Unlike the other two it names the promoted replica as soon as there is one.
    sentinel.admin().call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name),
    sentinel.admin().call("SENTINEL", "MASTER", name),
    sentinel.admin().call("SENTINEL", "REPLICAS", name),
  ]);
  const fields = fieldsOf(primary);
  return {
    primary: Number(Array.isArray(address) ? address[1] : undefined),
    flags: fields.get("flags"),
    epoch: Number(fields.get("config-epoch")),
    otherSentinels: Number(fields.get("num-other-sentinels")),
    replicas: new Map(
      (Array.isArray(replicas) ? replicas : [])
        .map(fieldsOf)
        .map((replica) => [Number(replica.get("port")), replica.get("flags")]),
    ),
  };
}

/** A reply in which names and values alternate. */
function fieldsOf(reply: unknown): Map<string, string> {
  const words = Array.isArray(reply) ? reply.map(String) : [];
  return new Map(words.flatMap((word, i) => (i % 2 === 0 ? [[word, words[i + 1] ?? ""]] : [])));
}

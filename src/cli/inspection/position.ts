/** Asks a server for its position in its replication stream. */
import { parseReplicationInfo, type ReplicationInfo } from "../../replication/replication-info.js";
import { type Answer, converted } from "./answer.js";
import type { InspectedServer } from "./server.js";

/** A position with the time at which the server had it, in the middle between question and answer. */
export interface PositionAt {
  readonly at: number;
  readonly replication: ReplicationInfo;
}

/** Where the server is now. */
export async function positionOf(server: InspectedServer): Promise<Answer<PositionAt>> {
  const before = performance.now();
  const answer = await server.ask("INFO", "replication");
  const at = (before + performance.now()) / 2;
  return converted(answer, (text) => {
    const replication = parseReplicationInfo(text);
    return replication && { at, replication };
  });
}

/** Writes a key of the doctor's own, so that an idle primary has something to replicate. */
import { randomBytes } from "node:crypto";
import { parseReplicationInfo, type ReplicationInfo } from "../../replication/replication-info.js";
import { type Answer, answered, converted } from "./answer.js";
import type { PositionAt } from "./position.js";
import type { InspectedServer } from "./server.js";

const expiresAfterSeconds = 60;
/** In a cluster a random key belongs to the primary with a probability of one in as many as there are shards. */
const maxAttempts = 1_000;

/** One key on one primary. It expires by itself if the doctor cannot delete it. */
export class Canary {
  readonly #primary: InspectedServer;
  #key = newKey();
  #writes = 0;

  constructor(primary: InspectedServer) {
    this.#primary = primary;
  }

  get key(): string {
    return this.#key;
  }

  /** The latest value that was written. */
  get value(): string {
    return String(this.#writes);
  }

  /** Writes the key. The answer is the primary's position after the write. */
  async write(): Promise<Answer<PositionAt>> {
    for (let attempt = 1; ; attempt++) {
      this.#writes++;
      const before = performance.now();
      const [write, info] = await Promise.all([
        this.#primary.ask("SET", this.#key, this.value, "EX", expiresAfterSeconds),
        this.#primary.ask("INFO", "replication"),
      ]);
      const at = (before + performance.now()) / 2;
      if (write.kind === "value") return converted(info, (text) => placed(parseReplicationInfo(text), at));
      const isElsewhere = "message" in write && write.message.startsWith("MOVED");
      if (!isElsewhere || attempt >= maxAttempts) return write;
      this.#key = newKey();
    }
  }

  /** Deletes the key. */
  async remove(): Promise<Answer<void>> {
    const answer = await this.#primary.ask("DEL", this.#key);
    return answer.kind === "value" ? answered(undefined) : answer;
  }
}

function newKey(): string {
  return `tidemark:doctor:${randomBytes(8).toString("hex")}`;
}

function placed(replication: ReplicationInfo | undefined, at: number): PositionAt | undefined {
  return replication && { at, replication };
}

/** The client that people write first when they want to read from replicas: what goes wrong with it is what to look for. */
import { type Command, Redis } from "ioredis";
import type { ReplicationGroup } from "../../support/servers/replication-group.js";

const reads = new Set(["get", "mget", "exists", "hgetall", "smembers"]);

/** Sends each read to a random replica, and every other command to the primary. */
export class RandomReplicas extends Redis implements Disposable {
  readonly #replicas: readonly Redis[];

  constructor(group: ReplicationGroup) {
    super(group.primary.url, { maxRetriesPerRequest: null });
    this.#replicas = group.replicas.map(({ server }) => new Redis(server.url));
  }

  override sendCommand(...[command, stream]: Parameters<Redis["sendCommand"]>): unknown {
    const drawn = this.#draw(command);
    if (stream !== undefined || drawn === undefined) return super.sendCommand(command, stream);
    return drawn.sendCommand(command);
  }

  #draw({ name }: Command): Redis | undefined {
    return reads.has(name) ? this.#replicas[Math.floor(Math.random() * this.#replicas.length)] : undefined;
  }

  [Symbol.dispose](): void {
    for (const client of [this, ...this.#replicas]) client.disconnect();
  }
}

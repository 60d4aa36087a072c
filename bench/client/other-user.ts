/** Another user, who writes between the reads of a client. */
import { Tidemark } from "tidemark";
import { key, type Servers, value } from "./operations.js";

export class OtherUser {
  readonly #tidemark: Tidemark;
  readonly #replicas: number;

  private constructor(tidemark: Tidemark, replicas: number) {
    this.#tidemark = tidemark;
    this.#replicas = replicas;
  }

  static async connect(servers: Servers): Promise<OtherUser> {
    const tidemark = new Tidemark(servers);
    await tidemark.ready();
    return new OtherUser(tidemark, servers.replicas.length);
  }

  /** Resolves with the token of a new write, once all replicas have the write. */
  async write(): Promise<string> {
    const session = this.#tidemark.session();
    await session.redis.set(key, value);
    await session.replicated(this.#replicas, { timeoutMs: 10_000 });
    await session.settled();
    return session.token();
  }
}

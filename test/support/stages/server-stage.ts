/** Servers of its own for each test of a file, on whichever backend this run has, and Tidemarks on them. */

import { afterEach, beforeEach } from "vitest";
import { type CommonOptions, Tidemark } from "../../../src/index.js";
import { type BackendServer, type ServerGroup, startServers } from "../servers/backend.js";
import { waitUntil } from "../wait-until.js";
import { replicasAreEligible } from "./eligible-replicas.js";

/** A server that is back may first have to give up a connection, and then an attempt, that leads nowhere. */
export const followsWithinMs = 20_000;

export class ServerStage {
  #group: ServerGroup | undefined;
  #opened: Tidemark[] = [];

  /** Starts a primary and two replicas before each test from here on, and ends them behind it. */
  static set(): ServerStage {
    const stage = new ServerStage();
    beforeEach(async () => {
      stage.#group = await startServers({ replicas: 2 });
    });
    afterEach(async () => {
      await Promise.all(stage.#opened.splice(0).map((tidemark) => tidemark.close()));
      await stage.#group?.stop();
      stage.#group = undefined;
    });
    return stage;
  }

  get primary(): BackendServer {
    return this.#servers.primary;
  }

  get replicas(): readonly BackendServer[] {
    return this.#servers.replicas;
  }

  /** The replica that the test is about. */
  get victim(): BackendServer {
    const [first] = this.replicas;
    if (first === undefined) throw new Error("the group has no replica");
    return first;
  }

  /** A Tidemark that is about to read from its replicas. */
  async open(options: Partial<CommonOptions> = {}): Promise<Tidemark> {
    const replicas = this.replicas.map(({ url }) => url);
    const tidemark = new Tidemark({ primary: this.primary.url, replicas, ...options });
    this.#opened.push(tidemark);
    // That connections to the primary are lost is what these tests are about; without a listener ioredis prints it.
    tidemark.redis.on("error", () => {});
    await replicasAreEligible(tidemark);
    return tidemark;
  }

  /** Sets a key on the primary, past all Tidemarks, and resolves when all replicas have it. */
  async seed(key: string, value: string): Promise<void> {
    await this.primary.admin().set(key, value);
    for (const replica of this.replicas) await hasValue(replica, key, value);
  }

  get #servers(): ServerGroup {
    if (this.#group === undefined) throw new Error("no test has begun");
    return this.#group;
  }
}

export async function hasValue(server: BackendServer, key: string, value: string): Promise<void> {
  await waitUntil(async () => (await server.admin().get(key)) === value, {
    what: `${key} is ${value}`,
    timeoutMs: followsWithinMs,
  });
}

/** Resolves when the server follows its primary. */
export async function isLinked(server: BackendServer): Promise<void> {
  await waitUntil(async () => (await server.info("replication")).master_link_status === "up", {
    what: "the replica follows its primary",
    timeoutMs: followsWithinMs,
  });
}

/** The faults of a chaos run: each resolves when it is over and its servers are back in their places. */

import { setTimeout as pause } from "node:timers/promises";
import { SpoilingProxy } from "../proxies/spoiling-proxy.js";
import { waitUntil } from "../wait-until.js";
import type { Fleet, Member } from "./chaos-fleet.js";

/** The servers and helpers that faults use. */
export interface Scene {
  readonly fleet: Fleet;
  /** A whole number from `least` to `most`, by the seed of the run. */
  between(least: number, most: number): number;
  /** Calls `change` while nothing that is read is judged, because it may lose acknowledged writes. */
  loseWrites(change: () => Promise<void>): Promise<void>;
}

type ReplicaFault = (scene: Scene, replica: Member, sibling: Member) => Promise<void>;
type PrimaryFault = (scene: Scene, heir: Member) => Promise<void>;

/** Faults of one replica; `sibling` is another one, which only this fault uses. */
export const replicaFaults: Readonly<Record<string, ReplicaFault>> = {
  async freeze({ between }, { server }) {
    server.pause();
    // Mostly too short for the connection to be given up.
    await pause(between(1, 4) === 1 ? between(800, 1_500) : between(10, 200));
    server.resume();
  },
  async kill({ fleet, between }, replica) {
    await replica.server.kill();
    await pause(between(0, 300));
    await replica.server.restart({ empty: true });
    await fleet.inSync(replica);
  },
  async cutClients({ between }, { server }) {
    for (let i = between(1, 3); i > 0; i--) {
      await server.admin().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
      await pause(between(5, 100));
    }
  },
  async cutReplication({ fleet, between }, replica) {
    const link = fleet.linkOf(replica);
    link.cut();
    await pause(between(20, 400));
    link.mend();
    await fleet.inSync(replica);
  },
  async stall({ fleet, between }, replica) {
    const link = fleet.linkOf(replica);
    link.hold();
    await pause(between(20, 600));
    await link.release();
  },
  async lag({ fleet, between }, replica) {
    const link = fleet.linkOf(replica);
    link.delay(between(1, 60), 10);
    await pause(between(100, 800));
    link.delay(0);
  },
  async repoint({ fleet, between }, replica, sibling) {
    const link = fleet.linkOf(sibling);
    await replica.server.admin().config("SET", "repl-diskless-load", between(0, 1) ? "swapdb" : "disabled");
    link.hold();
    await pause(between(30, 250));
    await fleet.follow(replica, sibling);
    await fleet.inSync(replica);
    await pause(between(0, 250));
    await link.release();
    await fleet.follow(replica);
    await fleet.inSync(replica);
  },
  async promote({ fleet, between }, replica) {
    const { server } = replica;
    await server.replicate(undefined);
    await pause(between(0, 200));
    await server.admin().set("chaos:astray", between(0, 1_000_000));
    await fleet.follow(replica);
    await fleet.inSync(replica);
  },
  async reload(_scene, { server }) {
    await server.admin().call("DEBUG", "RELOAD");
  },
  async spoil({ fleet, between }, replica) {
    await using proxy = await SpoilingProxy.start({ targetPort: fleet.stranger.port });
    await replica.server.admin().config("SET", "repl-diskless-load", "disabled");
    await replica.server.replicate(proxy);
    await pause(between(100, 500));
    await fleet.follow(replica);
    await fleet.inSync(replica);
  },
};

/** Faults of the primary, beside which there is no other. */
export const primaryFaults: Readonly<Record<string, PrimaryFault>> = {
  async freezePrimary({ fleet, between }) {
    fleet.primary.server.pause();
    await pause(between(20, 500));
    fleet.primary.server.resume();
  },
  async flush({ fleet }) {
    // Of a database that nobody reads.
    await fleet.primary.server.admin().multi().select(1).flushdb().select(0).exec();
  },
  async handOver({ fleet, between }, heir) {
    const old = fleet.primary;
    for (const replica of fleet.replicas) if (replica !== heir) fleet.linkOf(replica).delay(between(0, 30));
    await old.server.admin().call("FAILOVER", "TO", heir.server.host, heir.server.port, "TIMEOUT", 2_000);
    await waitUntil(async () => (await heir.server.info("replication")).role === "master", {
      what: `${heir.name} has taken over from ${old.name}`,
    });
    fleet.primary = heir;
    await fleet.heal();
  },
  async takeOver({ fleet, between, loseWrites }, heir) {
    const old = fleet.primary;
    fleet.linkOf(heir).hold();
    await pause(between(0, 50));
    await loseWrites(async () => {
      await heir.server.replicate(undefined);
      await fleet.follow(old, heir);
      fleet.primary = heir;
    });
    await old.links.get(heir)?.release();
    await heir.links.get(old)?.release();
    await fleet.heal();
  },
};

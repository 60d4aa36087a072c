/** One address with several replicas behind it, as with load balancers and managed reader endpoints. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Tidemark } from "../../src/index.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import type { Daemon } from "../support/servers/daemon.js";
import { findHaproxy, startHaproxy } from "../support/servers/haproxy.js";
import { releaseReplicas } from "../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { waitUntil } from "../support/wait-until.js";

const program = await findHaproxy();
if (program === undefined) process.stderr.write("no HAProxy here: tests of one endpoint are skipped\n");

describe.skipIf(program === undefined)("replicas behind one HAProxy", () => {
  let group: ReplicationGroup;
  let haproxy: Daemon;

  beforeAll(async () => {
    group = await startReplicationGroup({ replicas: 2 });
    if (program === undefined) return;
    haproxy = await startHaproxy(
      program,
      group.replicas.map(({ server }) => server),
    );
  });

  afterAll(async () => {
    await haproxy.stop();
    await group.stop();
  });

  beforeEach(async () => {
    await releaseReplicas(group);
    await group.primary.admin().flushall();
    await group.caughtUp();
  });

  /** With as many connections to the endpoint as there are to be. */
  function open(connections: number): Tidemark {
    const replicas = Array.from({ length: connections }, () => ({ host: haproxy.host, port: haproxy.port }));
    return new Tidemark({ primary: group.primary.url, replicas });
  }

  function getsAtReplicas(): Promise<number[]> {
    return Promise.all(group.replicas.map(({ server }) => server.commandCalls("get")));
  }

  it("are all read from, when the endpoint is given once for each connection", async () => {
    await using tidemark = open(4);
    await replicasAreEligible(tidemark);
    await group.primary.admin().set("k", "v");
    await group.caughtUp();
    const before = await getsAtReplicas();
    await waitUntil(
      async () => {
        expect(await tidemark.session().redis.get("k")).toBe("v");
        return (await getsAtReplicas()).every((calls, i) => calls > (before[i] ?? 0));
      },
      { what: "both replicas have answered" },
    );
  });

  it("never show a user older data than the user's own write, whichever of them lags", async () => {
    await using tidemark = open(4);
    await replicasAreEligible(tidemark);
    using routes = listenToRoutes();
    for (let round = 0; round < 20; round++) {
      const lagging = group.replicas[round % 2];
      lagging?.link.hold();
      const session = tidemark.session();
      await session.redis.set("k", round);
      const token = session.token();
      for (let read = 0; read < 5; read++) {
        expect(await tidemark.session({ token }).redis.get("k")).toBe(String(round));
      }
      await lagging?.link.release();
    }
    expect(routes.of("get").some((route) => route.startsWith("replica"))).toBe(true);
  });

  it("forget the state of one replica when the endpoint connects to another", async () => {
    const [fresh, stale] = group.replicas;
    await using tidemark = open(1);
    await replicasAreEligible(tidemark);
    const session = tidemark.session();
    await session.redis.set("k", "old");
    await group.caughtUp();
    const connected = await servesOne();
    const [here, there] = connected === fresh ? [fresh, stale] : [stale, fresh];
    there?.link.hold();
    await session.redis.set("k", "new");
    await waitUntil(async () => (await here?.server.admin().get("k")) === "new", {
      what: "the replica has the new value",
    });
    const token = session.token();
    expect(await tidemark.session({ token }).redis.get("k")).toBe("new");
    // The only connection breaks, and the next goes to the replica that lags.
    await here?.server.admin().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await waitUntil(
      async () => {
        // At every moment of it: before, while and after it connects.
        for (let read = 0; read < 50; read++) {
          expect(await tidemark.session({ token }).redis.get("k")).toBe("new");
        }
        return (await servesOne()) === there;
      },
      { what: "the other replica answers" },
    );
  });

  /** The replica to which the one connection of a Tidemark goes. */
  async function servesOne(): Promise<ReplicationGroup["replicas"][number] | undefined> {
    const counts = await Promise.all(
      group.replicas.map(async ({ server }) => {
        const list = String(await server.admin().call("CLIENT", "LIST", "TYPE", "normal"));
        return list.split("\n").filter((line) => line.includes("cmd=info")).length;
      }),
    );
    const most = Math.max(...counts);
    return most === 0 ? undefined : group.replicas[counts.indexOf(most)];
  }
});

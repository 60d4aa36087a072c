/** A slot that has moved to a node which no other node knows yet. */
import { expect, it, onTestFinished } from "vitest";
import { startClusterNode } from "../support/servers/cluster-node.js";
import { listOf } from "../support/servers/cluster-view.js";
import { HOST } from "../support/servers/server-arguments.js";
import { SlotMigration } from "../support/servers/slot-migration.js";
import { sentCommands } from "../support/stages/sent-commands.js";
import { keyIn, stageCluster } from "../support/stages/staged-cluster.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageCluster({ fresh: true });
const slot = 1;
/** Far more than it takes to follow a redirection as often as any is followed. */
const manyTrips = 300;

it("a command waits until a node knows the new owner of its slot", async () => {
  const { group } = stage;
  const newcomer = await startClusterNode(["--cluster-node-timeout", "20000"]);
  onTestFinished(() => newcomer.stop());
  for (const { server } of group.nodes)
    await server.admin().call("CLUSTER", "MEET", HOST, newcomer.port, newcomer.bus.port);
  const isMet = async (): Promise<boolean> => {
    const lists = await Promise.all(group.nodes.map(({ server }) => listOf(server)));
    return lists.every((list) => {
      const epochs = list.map(({ epoch }) => epoch);
      const listed = list.find(({ id }) => id === newcomer.id);
      return listed?.isConnected && listed.epoch === Math.max(...epochs) && listed.epoch > 3;
    });
  };
  // Else its claim would be that of somebody older.
  const isEldest = async (): Promise<boolean> => {
    await newcomer.server.admin().call("CLUSTER", "BUMPEPOCH");
    return isMet();
  };
  await waitUntil(isEldest, { what: "all nodes know the new node and its epoch", timeoutMs: 20_000 });
  const isContent = async (): Promise<boolean> =>
    String(await newcomer.server.admin().call("CLUSTER", "INFO")).includes("cluster_state:ok");
  await waitUntil(isContent, { what: "the new node knows the cluster", timeoutMs: 20_000 });

  const tidemark = await stage.open();
  const { redis } = tidemark.session();
  const from = await group.primaryOf(slot);
  const others = group.nodes.slice(0, 3).filter((node) => node !== from);
  const migration = new SlotMigration(slot, from, newcomer);
  await migration.begin();
  group.isolate(newcomer);
  await migration.finish();
  // Only the old owner could tell now, and it may not.
  await from.server.admin().call("ACL", "SETUSER", "default", "-cluster");
  const before = sentCommands(tidemark);
  const writing = redis.set(keyIn(slot), "v");
  const settled = writing.catch((error: unknown) => error);
  for (let trip = 0; trip < manyTrips; trip++) await others[0]?.server.admin().ping();
  await waitUntil(() => sentCommands(tidemark) > before + 2, { what: "the command was sent again" });
  for (const other of others) await migration.assign(other);
  expect(await settled).toBe("OK");
  expect(await newcomer.server.admin().get(keyIn(slot))).toBe("v");
});

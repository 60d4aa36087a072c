/** Measures how much consistency costs a client, compared with clients without it on the same servers. */
import { RedisServer } from "../../test/support/servers/redis-server.js";
import { caughtUp } from "../../test/support/servers/replication-group.js";
import type { Goal, Section, SectionQuestion } from "../report/section.js";
import { answer } from "../report/worker.js";
import { allocationTable } from "./allocations.js";
import { hold, type Outcome, ratioOf, tablesOf, throughput } from "./contest.js";
import { alone, type CheckedName, checked, entries, known, type Name, together } from "./contests.js";
import { key, type Servers, value } from "./operations.js";
import { measureWaitingReads } from "./waiting-reads.js";

answer(async ({ scale }: SectionQuestion): Promise<Section> => {
  await using primary = await RedisServer.start();
  // Without a proxy between the two, because its process would compete with the clients for the CPU.
  await using replica = await RedisServer.start({ replicaOf: primary });
  const servers: Servers = { primary: primary.url, replicas: [replica.url] };
  await primary.admin().set(key, value);
  await caughtUp(primary, [replica]);
  const many = await hold(together, servers, scale);
  const one = await hold(alone, servers, scale);
  const afterWrites = await hold(checked, servers, scale);
  const waiting = await measureWaitingReads(scale);
  const tables = [
    ...tablesOf(together, many),
    ...tablesOf(alone, one),
    ...tablesOf(checked, afterWrites),
    waiting.table,
    await allocationTable(entries, servers),
  ];
  return { title: "Client", tables, goals: [...goalsOf(many, one, afterWrites), waiting.goal] };
});

function goalsOf(many: Outcome<Name>, one: Outcome<Name>, afterWrites: Outcome<CheckedName>): Goal[] {
  const goal = <Any extends string>(
    limit: number,
    where: string,
    outcome: Outcome<Any>,
    ours: Any,
    theirs: Any,
  ): Goal => {
    const measured = ratioOf(outcome, ours, theirs, throughput);
    return { what: `${ours}, ${where}, to ${theirs}`, is: "at least", limit, measured };
  };
  return [
    goal(2.5, "64 in flight", many, known, "ioredis GET"),
    goal(1.5, "64 in flight", many, known, "ioredis with autopipelining, GET"),
    goal(3.5, "64 in flight", many, known, "node-redis GET"),
    goal(2.5, "64 in flight", many, known, "valkey-glide GET"),
    goal(2.2, "64 in flight", many, "session write", "ioredis SET"),
    goal(2.2, "64 in flight", many, "new session for every read", "ioredis GET"),
    goal(0.97, "1 in flight", one, known, "ioredis GET"),
    goal(0.88, "1 in flight", one, "session write", "ioredis SET"),
    goal(0.8, "1 in flight", afterWrites, "session read, position to be checked", "ioredis INFO and GET"),
  ];
}

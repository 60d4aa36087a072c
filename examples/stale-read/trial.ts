/** One routing under the load of all virtual users, and what came of it. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import type { ReplicationGroup } from "../../test/support/servers/replication-group.js";
import { cartApp } from "../cart/app.js";
import { swingLag } from "./lag-swing.js";
import type { RoutingChoice } from "./routing.js";
import { Shopper } from "./shopper.js";
import { shoppingTrip } from "./shopping-trip.js";

export const users = 50;

/** The command that reads a cart, as Redis counts it. */
const readCommand = "hgetall";

/** The figures of one routing. */
export interface Outcome {
  readonly name: string;
  /** Sorted. */
  readonly readMs: readonly number[];
  readonly staleReads: number;
  readonly errors: readonly string[];
  /** The share of all reads that the primary answered, as the Redis servers count them. */
  readonly primaryShare: number;
}

/** Runs the cart app with one routing on `group` for about `seconds`. */
export async function trial(
  { name, open }: RoutingChoice,
  group: ReplicationGroup,
  seconds: number,
): Promise<Outcome> {
  const { primary, replicas } = group;
  const routing = open({ primary: primary.url, replicas: replicas.map(({ server }) => server.url) });
  const listener = cartApp(routing.middleware).listen(0, "127.0.0.1");
  await once(listener, "listening");
  const address = listener.address();
  const port = typeof address === "object" ? address?.port : undefined;
  // New carts each time, so that nobody finds what an earlier trial has left.
  const shoppers = Array.from({ length: users }, () => new Shopper(`http://127.0.0.1:${port}`, randomUUID()));
  try {
    await Promise.all(shoppers.map((shopper) => shopper.arrive()));
    const readsBefore = await countReads(group);
    const stopLag = swingLag(replicas.map(({ link }) => link));
    await Promise.all(shoppers.map((shopper, user) => shopper.shop(shoppingTrip(user, seconds * 1000))));
    stopLag();
    const reads = await countReads(group);
    const byPrimary = reads.primary - readsBefore.primary;
    return summary(name, shoppers, byPrimary / (reads.all - readsBefore.all));
  } finally {
    for (const shopper of shoppers) shopper.leave();
    listener.close();
    listener.closeAllConnections();
    await routing.close();
    await group.caughtUp();
  }
}

async function countReads({
  primary,
  replicas,
}: ReplicationGroup): Promise<{ primary: number; all: number }> {
  const servers = [primary, ...replicas.map(({ server }) => server)];
  const [byPrimary = 0, ...byReplicas] = await Promise.all(
    servers.map((server) => server.commandCalls(readCommand)),
  );
  return { primary: byPrimary, all: byReplicas.reduce((sum, calls) => sum + calls, byPrimary) };
}

function summary(name: string, shoppers: readonly Shopper[], primaryShare: number): Outcome {
  return {
    name,
    readMs: shoppers.flatMap(({ readMs }) => readMs).sort((a, b) => a - b),
    staleReads: shoppers.reduce((sum, { staleReads }) => sum + staleReads, 0),
    errors: shoppers.flatMap(({ errors }) => errors),
    primaryShare,
  };
}

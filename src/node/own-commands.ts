/** What a server is asked of itself: how its replication stands, and what time it is there. */
import { Command } from "ioredis";
import type { Connection } from "../connection/connection.js";
import type { ClockSkew } from "./clock-skew.js";

/** The command that asks a server how its replication stands; the reply is its text. */
export function infoCommand(): Command {
  return new Command("info", ["replication"], { replyEncoding: "utf8" });
}

/** The command that asks a server whether it is a node of a cluster; see {@link isOfNoCluster}. */
export function clusterCommand(): Command {
  return new Command("info", ["cluster"], { replyEncoding: "utf8" });
}

/** Whether the reply to {@link clusterCommand} says that it is none; false also where it says nothing. */
export function isOfNoCluster(reply: unknown): boolean {
  return typeof reply === "string" && /^cluster_enabled:0/m.test(reply);
}

/** The command that asks a server for its clock; the reply is seconds and microseconds. */
function timeCommand(): Command {
  return new Command("time", [], { replyEncoding: "utf8" });
}

/** Asks a server for its availability zone, which Valkey knows since 8.0; `tell` is not called where it does not say. */
export function askZone(connection: Connection, tell: (zone: string) => void): void {
  const command = new Command("info", ["server"], { replyEncoding: "utf8" });
  const { resolve } = command;
  command.resolve = (reply) => {
    const info = command.transformReply(reply);
    const zone = typeof info === "string" ? /^availability_zone:(\S{1,255})/m.exec(info)?.[1] : undefined;
    if (zone !== undefined) tell(zone);
    return resolve(reply);
  };
  command.reject = () => resolve(null);
  connection.send(command);
}

/** Has `clock` measured. */
export function askTime(connection: Connection, clock: ClockSkew): void {
  const at = performance.now();
  clock.askedAt = at;
  const command = timeCommand();
  const { resolve } = command;
  command.resolve = (reply) => {
    clock.take(command.transformReply(reply), at, performance.now());
    return resolve(reply);
  };
  // Who forbids it is not known to differ.
  command.reject = () => resolve(null);
  connection.send(command);
}

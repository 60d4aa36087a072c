/** The commands that ask a server about itself: its replication, its cluster, its zone and its clock. */
import { Command } from "ioredis";
import type { Connection } from "../connection/connection.js";
import type { ClockSkew } from "./clock-skew.js";

/** The command that asks a server for the state of its replication. The reply is a string. */
export function infoCommand(): Command {
  return new Command("info", ["replication"], { replyEncoding: "utf8" });
}

const infoText = "*2\r\n$4\r\ninfo\r\n$11\r\nreplication\r\n";
const infoArguments = ["replication"];
const infoOptions = { replyEncoding: "utf8" } as const;
const never = new Promise<never>(() => {});

/**
 * The command of {@link infoCommand} for a caller that sets `resolve` and `reject` itself. It has no promise that could settle,
 * because INFO follows each turn with writes and nobody would wait for that promise.
 */
export class InfoQuestion extends Command {
  constructor() {
    super("info", infoArguments, infoOptions);
    this.promise = never;
  }

  override toWritable(): string {
    return infoText;
  }
}

// ioredis calls this method in the constructor. It is private, so a subclass cannot override it in another way.
Object.defineProperty(InfoQuestion.prototype, "initPromise", { value: () => {} });

/** The command that asks a server whether it is a node of a cluster; see {@link isOfNoCluster}. */
export function clusterCommand(): Command {
  return new Command("info", ["cluster"], { replyEncoding: "utf8" });
}

/** Whether the reply to {@link clusterCommand} says that the server is not a node of a cluster. False if the reply does not say. */
export function isOfNoCluster(reply: unknown): boolean {
  return typeof reply === "string" && /^cluster_enabled:0/m.test(reply);
}

/** Asks a server for its availability zone, which Valkey reports since 8.0. Calls `onZone` only if the server names one. */
export function askZone(connection: Connection, onZone: (zone: string) => void): void {
  ask(connection, new Command("info", ["server"], { replyEncoding: "utf8" }), (info) => {
    const zone = typeof info === "string" ? /^availability_zone:(\S{1,255})/m.exec(info)?.[1] : undefined;
    if (zone !== undefined) onZone(zone);
  });
}

/** Measures `clock` with TIME. */
export function askTime(connection: Connection, clock: ClockSkew): void {
  const at = performance.now();
  clock.askedAt = at;
  // If an ACL forbids TIME, the clock stays unknown, and an unknown clock does not count as different.
  ask(connection, new Command("time", [], { replyEncoding: "utf8" }), (time) => {
    clock.record(time, at, performance.now());
  });
}

/** Calls `onReply` unless the server answers with an error. */
function ask(connection: Connection, command: Command, onReply: (reply: unknown) => void): void {
  const { resolve } = command;
  command.resolve = (reply) => {
    onReply(command.transformReply(reply));
    return resolve(reply);
  };
  command.reject = () => resolve(null);
  connection.send(command);
}

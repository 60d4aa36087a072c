/** A pipeline or transaction, which goes to one node as a whole. */
import type { Command } from "ioredis";
import type { CommandStream } from "./connection.js";

/** The commands of one pipeline or transaction, and what ioredis collects their bytes in. */
export interface Batch {
  readonly stream: CommandStream;
  readonly commands: readonly Command[];
}

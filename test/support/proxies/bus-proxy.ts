/**
 * Stands in front of a cluster node's bus, which the node announces it by, and tells by the sender's name in
 * the messages which node calls, so that the calls of one can be kept out.
 */

import type { Socket } from "node:net";
import { type Connection, sever, TcpProxy } from "./tcp-proxy.js";

/** Where each message says who sent it: after its length, version, type, epochs and offset. */
const NAME_START = 40;
const NAME_END = 80;

export class BusProxy extends TcpProxy {
  readonly #banned = new Set<string>();
  /** The name of the caller, or the beginning of its first message. */
  readonly #callers = new Map<Socket, string | Buffer>();

  /** Closes the calls of the node with this id, new ones too, at the next that it says. */
  ban(id: string): void {
    this.#banned.add(id);
  }

  admit(id: string): void {
    this.#banned.delete(id);
  }

  protected override forward(link: Connection, chunk: Buffer): void {
    const caller = this.#callerOf(link.client, chunk);
    if (caller !== undefined && this.#banned.has(caller)) sever(link);
    else super.forward(link, chunk);
  }

  #callerOf(client: Socket, chunk: Buffer): string | undefined {
    const known = this.#callers.get(client);
    if (typeof known === "string") return known;
    if (known === undefined) client.once("close", () => this.#callers.delete(client));
    const said = Buffer.concat([known ?? Buffer.alloc(0), chunk]);
    const name = said.length < NAME_END ? undefined : said.toString("latin1", NAME_START, NAME_END);
    this.#callers.set(client, name ?? said);
    return name;
  }
}

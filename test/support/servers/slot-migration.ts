/** Moves a slot from one primary to another as redis-cli does, but step by step and key by key. */

import type { ClusterNode } from "./cluster-node.js";
import { HOST } from "./server-arguments.js";

const TIMEOUT_MS = 5_000;

export class SlotMigration {
  readonly slot: number;
  readonly from: ClusterNode;
  readonly to: ClusterNode;
  readonly #others: readonly ClusterNode[];

  /** The others are primaries that are told of the new owner at the end. */
  constructor(slot: number, from: ClusterNode, to: ClusterNode, others: readonly ClusterNode[] = []) {
    this.slot = slot;
    this.from = from;
    this.to = to;
    this.#others = others;
  }

  /** From now on the old owner sends those who ask for a key that it no longer has to the new one (ASK). */
  async begin(): Promise<void> {
    await this.#setSlot(this.to, "IMPORTING", this.from.id);
    await this.#setSlot(this.from, "MIGRATING", this.to.id);
  }

  /** Moves up to so many keys, or all; resolves with those that went. */
  async moveKeys(count = Number.POSITIVE_INFINITY): Promise<string[]> {
    const moved: string[] = [];
    while (moved.length < count) {
      const [key] = await this.#keysLeft();
      if (key === undefined) break;
      await this.#move(key);
      moved.push(key);
    }
    return moved;
  }

  /** Tells one node who owns the slot now. */
  async assign(node: ClusterNode): Promise<void> {
    await this.#setSlot(node, "NODE", this.to.id);
  }

  /** Makes the target the owner; its replicas and the source's hear of it a moment later. */
  async finish(): Promise<void> {
    // The target first: were the source told before, nobody would own the slot for a moment.
    for (const node of [this.to, this.from, ...this.#others]) await this.assign(node);
  }

  /** All steps at once. */
  async run(): Promise<void> {
    await this.begin();
    await this.moveKeys();
    await this.finish();
  }

  async #setSlot(node: ClusterNode, ...what: string[]): Promise<void> {
    await node.server.admin().call("CLUSTER", "SETSLOT", this.slot, ...what);
  }

  async #keysLeft(): Promise<string[]> {
    const keys = await this.from.server.admin().call("CLUSTER", "GETKEYSINSLOT", this.slot, 1);
    return Array.isArray(keys) ? keys.map(String) : [];
  }

  async #move(key: string): Promise<void> {
    const { port, url } = this.to.server;
    const password = decodeURIComponent(new URL(url).password);
    const lock = password === "" ? [] : ["AUTH", password];
    await this.from.server.admin().call("MIGRATE", HOST, port, key, 0, TIMEOUT_MS, ...lock);
  }
}

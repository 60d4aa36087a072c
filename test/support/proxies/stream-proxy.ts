/**
 * Stands in front of one node, which announces the proxy's port, so that clients, replicas and sentinels all
 * come this way and each party can be kept out alone. What the node sends to its replicas can be held back or
 * delayed; nobody else waits for that.
 */

import type { Socket } from "node:net";
import { Greeting, type Speaker } from "../servers/greeting.js";
import { DelayQueue, type Lag } from "./delay-queue.js";
import { type Connection, freeze, type Outlet, sever, TcpProxy, thaw } from "./tcp-proxy.js";

/**
 * Everybody of a kind, or by the port that it announces one replica. A connection on which nothing was said
 * but PING and AUTH counts as a replica's if it began with PING, else as a client's, until it says more.
 */
export type Party = "clients" | "replicas" | "sentinels" | number;

interface Peer {
  readonly greeting: Greeting;
  speaker: Speaker | undefined;
  outlet: Outlet;
  /** Only a replica has them. */
  stream: { readonly queue: DelayQueue; readonly lag: Lag } | undefined;
}

export class StreamProxy extends TcpProxy {
  readonly #peers = new Map<Socket, Peer>();
  /** Of each replica seen or named so far, by its port: it keeps its lag when it reconnects. */
  readonly #lags = new Map<number, Lag>();
  readonly #lagOfOthers: Lag = { isHeld: false, ms: 0, jitterMs: 0, bytesPerMs: Number.POSITIVE_INFINITY };
  readonly #cut = new Set<Party>();
  readonly #stalled = new Set<Party>();

  /** How many connections of a party are open. */
  connectionsOf(party: Party): number {
    return [...this.links].filter((link) => this.#isOf(link, party)).length;
  }

  /** From now on nothing that the node sends reaches its replicas, or the one, until `release()`. */
  hold(replica?: number): void {
    for (const lag of this.#lagsOf(replica)) lag.isHeld = true;
  }

  /** Sends everything held for all replicas, or for the one, in order; resolves when it is written. */
  async release(replica?: number): Promise<void> {
    const lags = this.#lagsOf(replica);
    for (const lag of lags) lag.isHeld = false;
    const streams = [...this.#peers.values()].flatMap(({ stream }) => stream ?? []);
    await Promise.all(streams.filter(({ lag }) => lags.includes(lag)).map(({ queue }) => queue.flush()));
  }

  /** Delays later bytes for all replicas, or for one, by `ms`, plus or minus `jitterMs`. */
  delay(ms: number, jitterMs = 0, replica?: number): void {
    for (const lag of this.#lagsOf(replica)) Object.assign(lag, { ms, jitterMs });
  }

  /**
   * Closes all connections of the parties, and each new one as soon as it shows whose it is. Without a party
   * it does so for all, before they say anything.
   */
  override cut(...parties: readonly Party[]): void {
    if (parties.length === 0) super.cut();
    for (const party of parties) this.#cut.add(party);
    for (const link of this.links) if (this.#isOfAny(link, parties)) sever(link);
  }

  /** Ends a cut of the parties, or without one every cut. */
  override mend(...parties: readonly Party[]): void {
    if (parties.length === 0) super.mend();
    for (const party of parties.length > 0 ? parties : [...this.#cut]) this.#cut.delete(party);
  }

  /** Keeps the connections of the parties, or all, open and silent until `unstall()`: a network that drops packets. */
  override stall(...parties: readonly Party[]): void {
    if (parties.length === 0) super.stall();
    for (const party of parties) this.#stalled.add(party);
    for (const link of this.links) if (this.#isOfAny(link, parties)) freeze(link);
  }

  /** Ends a stall of the parties, or without one every stall. */
  override unstall(...parties: readonly Party[]): void {
    for (const party of parties.length > 0 ? parties : [...this.#stalled]) this.#stalled.delete(party);
    if (parties.length === 0) super.unstall();
    if (this.isStalled) return;
    for (const link of this.links) if (!this.#isOfAny(link, this.#stalled)) thaw(link);
  }

  protected override openOutlet(client: Socket): Outlet {
    const outlet = super.openOutlet(client);
    const peer: Peer = { greeting: new Greeting(), speaker: undefined, outlet, stream: undefined };
    this.#peers.set(client, peer);
    client.once("close", () => this.#peers.delete(client));
    return {
      write: (chunk) => peer.outlet.write(chunk),
      end: () => peer.outlet.end(),
    };
  }

  protected override forward(link: Connection, chunk: Buffer): void {
    const peer = this.#peers.get(link.client);
    if (peer !== undefined && peer.speaker === undefined) {
      peer.speaker = peer.greeting.hear(chunk);
      if (peer.speaker?.party === "replicas") this.#lead(peer, link.client, peer.speaker.port);
      const isKnown = peer.speaker !== undefined || peer.greeting.beganWithPing;
      if (isKnown && this.#turnsAway(link, chunk)) return;
    }
    super.forward(link, chunk);
  }

  /** A test waits only for replies to clients, not for those to replicas and sentinels. */
  protected override isTrapped(link: Connection): boolean {
    return this.#isOf(link, "clients");
  }

  /** From here on the replies to a replica, its handshake's too, go through its queue. */
  #lead(peer: Peer, client: Socket, port: number | undefined): void {
    const lag = port === undefined ? this.#lagOfOthers : this.#lagOf(port);
    peer.stream = { queue: new DelayQueue(client, lag), lag };
    peer.outlet = peer.stream.queue;
  }

  #turnsAway(link: Connection, chunk: Buffer): boolean {
    if (this.#isOfAny(link, this.#cut)) {
      sever(link);
      return true;
    }
    if (!this.#isOfAny(link, this.#stalled)) return false;
    freeze(link);
    link.client.unshift(chunk);
    return true;
  }

  #isOfAny(link: Connection, parties: Iterable<Party>): boolean {
    return [...parties].some((party) => this.#isOf(link, party));
  }

  #isOf({ client }: Connection, party: Party): boolean {
    const peer = this.#peers.get(client);
    if (peer?.speaker === undefined) return party === (peer?.greeting.beganWithPing ? "replicas" : "clients");
    const { speaker } = peer;
    return speaker.party === party || (speaker.party === "replicas" && speaker.port === party);
  }

  #lagOf(replica: number): Lag {
    const known = this.#lags.get(replica) ?? { ...this.#lagOfOthers };
    this.#lags.set(replica, known);
    return known;
  }

  #lagsOf(replica: number | undefined): Lag[] {
    return replica === undefined ? [this.#lagOfOthers, ...this.#lags.values()] : [this.#lagOf(replica)];
  }
}

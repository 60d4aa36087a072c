/** One Redis server: its connection, what it was last seen at, and the two ways of asking it for its position. */
import type { Command, RedisOptions } from "ioredis";
import { sentTo } from "../commands/destination.js";
import { Connection, type ConnectionOptions } from "../connection/connection.js";
import { isNotForwarded, signOf } from "../connection/proxy-detection.js";
import { ConnectionLostError } from "../errors/errors.js";
import type { WriteHandle } from "../replication/write-outcome.js";
import { AclDenials } from "./acl-denials.js";
import { ApplyRate } from "./apply-rate.js";
import { ClockSkew, clockIntervalMs } from "./clock-skew.js";
import { ClusterMode } from "./cluster-mode.js";
import { DataSetTracking } from "./data-set-tracking.js";
import { Incarnation, type NodeReport, type PendingProbe } from "./incarnation.js";
import { LagEstimate } from "./lag-estimate.js";
import { LatencyEstimate } from "./latency-estimate.js";
import { type MarkerKey, notThere } from "./marker-key.js";
import { askTime } from "./own-commands.js";
import { PositionProbe, type ProbeAnswer, sendWithProof } from "./position-probe.js";
import { ServerWarning } from "./server-warnings.js";
import { type OnRefusal, WriteBatch } from "./write-batch.js";

/** Told what becomes of a server. */
export interface Observer {
  /** Called with every answer to an INFO, in order. */
  saw(node: Node, sighting: NodeReport): void;
  /** Told now and then while commands are unanswered. */
  waits(node: Node): void;
  /** Told that the connection to a primary was dropped because the server was silent for too long. */
  dropped(node: Node): void;
  /** Whether replicas are learnt from what the primary says. */
  readonly discovers: boolean;
  /** Told that a server was recognized as a proxy that spreads commands, or that it is none after all. */
  judged(node: Node): void;
}

/** What its connection is for; see {@link ConnectionOptions}. */
type Use = Pick<ConnectionOptions, "patient" | "timeoutMs" | "mayBlock" | "proxySign">;

const nobody: Observer = {
  saw: () => {},
  waits: () => {},
  dropped: () => {},
  discovers: false,
  judged: () => {},
};

/** Why nothing is known of a server that has just been connected to. */
export const notAsked = "not asked yet";

export class Node {
  readonly connection: Connection;
  readonly lag = new LagEstimate();
  /** Of the link of now. */
  applyRate = new ApplyRate();
  readonly latency = new LatencyEstimate();
  readonly clock = new ClockSkew();
  readonly denials = new AclDenials();
  readonly proof: PositionProbe;
  /** How much it gets of the reads, as against others. */
  weight = 1;
  /** Where it is; undefined when that is not known. */
  zone: string | undefined;
  /** Replaced when the connection closes, and when the server was seen to have gone back or changed its history. */
  link = new Incarnation();
  /** Changes whenever the server may have gone back: a read counts only if it did not between sending and answer. */
  era = 0;
  /** Undefined when nothing is known: never asked on this connection, or something spoke of a resynchronisation. */
  lastReport: NodeReport | undefined;
  /** The TCP connection on which it was the last to refuse a write because it is a replica. */
  #refusedIn: number | undefined;
  /** Set by a read that the server refused for its state; such a server has to show a healthy link first. */
  suspect = false;
  /** Why the position of this node cannot be told; undefined when it can. */
  fault: string | undefined = "not connected";
  /** Until when no read is tried on it without knowing. */
  avoidUntil = Number.NEGATIVE_INFINITY;
  /** When it was last asked for its position. */
  probedAt = Number.NEGATIVE_INFINITY;
  #probe: { readonly turn: number; readonly probe: PendingProbe } | undefined;
  #writes: WriteBatch | undefined;
  /** Turns whose INFO is on its way. */
  readonly #unfinished = new Set<WriteBatch>();
  readonly #warning = new ServerWarning();
  readonly #tracking = new DataSetTracking();
  #isLent = false;
  /** Which of its roles in a cluster the server has here. */
  readonly greeting = new ClusterMode();
  readonly #observer: Observer;

  private constructor(server: RedisOptions, use: Use, observer: Observer, marker: MarkerKey | undefined) {
    this.#observer = observer;
    this.connection = new Connection({
      redis: server,
      ...use,
      onReady: () => this.#connected(),
      onClose: (error) => this.#disconnected(error),
      onWatch: () => {
        for (const writes of this.#unfinished) writes.expire(performance.now());
        observer.waits(this);
      },
      onDrop: () => observer.dropped(this),
      onJudged: () => this.#judged(),
    });
    this.proof = new PositionProbe(this.connection, marker);
  }

  /** A node that takes writes: commands wait for its connection, for `timeoutMs`. */
  static primary(
    server: RedisOptions,
    timeoutMs: number,
    observer: Observer,
    marker: MarkerKey | undefined,
  ): Node {
    return new Node(server, { patient: true, timeoutMs, mayBlock: false }, observer, marker);
  }

  /** A further connection to a primary, which is watched over by the first; that has seen `proxySign`. */
  static dedicated(server: RedisOptions, timeoutMs: number, proxySign?: string): Node {
    const use = { patient: true, timeoutMs, mayBlock: true, proxySign };
    const node = new Node(server, use, nobody, undefined);
    node.#warning.isSaid = true;
    node.#isLent = true;
    return node;
  }

  /** A node that only answers reads; `timeoutMs` counts once it is made the primary. */
  static replica(
    server: RedisOptions,
    timeoutMs: number,
    observer: Observer,
    marker: MarkerKey | undefined,
  ): Node {
    return new Node(server, { patient: false, timeoutMs, mayBlock: false }, observer, marker);
  }

  /**
   * Sends a write with this turn's INFO behind it; its promise resolves when `handle` was ended with the position.
   * `onRefusal` is given what the server refused it with, and says whether the write goes on elsewhere.
   */
  write(command: Command, handle: WriteHandle, onRefusal?: OnRefusal): void {
    this.#writes ??= this.#openWrites();
    this.#writes.add(command, handle, onRefusal);
    this.#send(command);
  }

  /** Sends what changes nothing; `behindWrites` has it answered after the writes sent before it in this turn. */
  read(command: Command, behindWrites: boolean): void {
    if (behindWrites) this.#writes?.follow(command);
    this.#send(command);
  }

  /** Asks for the position behind everything sent in this turn, with the writes' INFO if there are any. */
  probeAfter(): void {
    this.#writes ??= this.#openWrites();
  }

  /** The same; resolves when it was answered, or will not be. */
  afterProbe(): Promise<void> {
    this.probeAfter();
    return new Promise((resolve) => this.#writes?.whenOver(resolve));
  }

  /** Sends the INFO of the writes so far now: what is sent next must not come between. */
  flushWrites(): void {
    const writes = this.#writes;
    const { epoch, ready } = this.connection;
    if (writes === undefined) return;
    this.#writes = undefined;
    if (!ready || writes.epoch !== epoch) {
      writes.abandon();
      return;
    }
    this.#unfinished.add(writes);
    this.#ask((sighting, error) => {
      this.#unfinished.delete(writes);
      // The position counts only when the same TCP connection carried the writes and the INFO, and a primary answered.
      if (this.connection.epoch !== epoch || (error !== undefined && ConnectionLostError.isMeantBy(error)))
        writes.abandon();
      else if (sighting?.replication.role !== "primary") writes.finish(undefined, sighting !== undefined);
      else writes.finish({ replid: sighting.replication.replid, offset: sighting.replication.offset });
    });
  }

  /**
   * The INFO in front of the reads sent from now on in this turn. The reads see at least what it reports: Redis
   * carries out the commands of one connection in order.
   */
  probeBefore(): PendingProbe {
    const { turn, proxySign } = this.connection;
    if (this.#probe?.turn === turn) return this.#probe.probe;
    const probe: PendingProbe = { sighting: undefined };
    if (proxySign !== undefined) {
      this.#blame(proxySign);
      return probe;
    }
    this.#probe = { turn, probe };
    this.connection.beginTurn();
    this.#ask((sighting) => {
      probe.sighting = sighting;
    });
    if (performance.now() - this.clock.askedAt > clockIntervalMs) askTime(this.connection, this.clock);
    return probe;
  }

  /** Sends a read with its proof in one transaction; the probe is answered when the read is. */
  readVerified(command: Command): PendingProbe {
    const probe: PendingProbe = { sighting: undefined };
    const at = performance.now();
    const { command: proof, read } = this.proof.question();
    sendWithProof(this.connection, command, proof, (reply) => {
      if (reply === undefined) probe.needless = true;
      else probe.sighting = this.#took(read(reply), at);
    });
    return probe;
  }

  /** How long its position is believed after it was asked for, in milliseconds. */
  trustMs(probeIntervalMs: number): number {
    return this.#tracking.trustMs(probeIntervalMs);
  }

  /** Takes back all that is remembered, because the server spoke of a state in which nothing of it need be true. */
  forgetState(): void {
    this.#replaceLink();
    this.lastReport = undefined;
    this.suspect = true;
  }

  /** Takes in that what it says of itself cannot be true, and why: it answers nothing until it is heard again. */
  disbelieve(fault: string): void {
    this.suspect = true;
    this.#blame(fault);
  }

  /** Takes in that a read found it behind: what its lag was guessed at is not worth a try for a moment. */
  failedProof(now: number): void {
    this.avoidUntil = now + this.lag.ms / 2 + 1;
  }

  /** Resolves when all that was given is answered, and the server has closed the connection then. */
  quit(): Promise<void> {
    // Behind QUIT nothing is answered, also not where the writes before it ended up. Twemproxy does not answer QUIT either.
    return this.connection.drained(this.isProxy ? "ping" : "quit", () => this.flushWrites());
  }

  /** Resolves when all that was given is answered, with the positions of writes; rejects when the connection closes first. */
  drained(): Promise<void> {
    return this.connection.drained("ping", () => this.flushWrites());
  }

  /** Whether it is a proxy that spreads commands: what one command shows of its server says nothing of the others. */
  get isProxy(): boolean {
    return this.connection.proxySign !== undefined;
  }

  /** Takes in that it has refused a write because it is a replica. */
  refusedWrite(): void {
    if (this.isProxy) return;
    this.#refusedIn = this.connection.epoch;
  }

  /** Whether the server cannot say how far it is, nor name its replicas. */
  get isUnprovable(): boolean {
    return this.proof.kind !== undefined && this.proof.kind !== "position";
  }

  /** Whether the server said last that it is a replica. */
  get isReplica(): boolean {
    return this.lastReport?.replication.role === "replica";
  }

  /** Whether the server has said on this TCP connection, not later than its latest answer, that it is a replica. */
  get saidReplica(): boolean {
    return this.isReplica || this.#refusedIn === this.connection.epoch;
  }

  #send(command: Command): void {
    sentTo(command, this.connection.server);
    this.connection.send(command);
  }

  #openWrites(): WriteBatch {
    const writes = new WriteBatch(this);
    this.connection.beginTurn(() => {
      if (this.#writes === writes) this.flushWrites();
    });
    return writes;
  }

  #ask(answer: (sighting: NodeReport | undefined, error?: Error) => void): void {
    const at = performance.now();
    this.probedAt = at;
    if (this.proof.kind === "proxy") {
      answer(undefined);
      return;
    }
    this.latency.asked(at);
    this.proof.ask((said, error) => {
      if (said !== undefined) this.latency.answered(at, performance.now());
      const { refusal, kind } = this.proof;
      if (refusal !== undefined && kind !== undefined) this.#blame(refusal.message);
      else if (error?.name === "ReplyError" && isNotForwarded(error)) this.connection.judge(signOf(error));
      else if (error?.name === "ReplyError") this.#blame(error.message);
      answer(said === undefined ? undefined : this.#took(said, at), error);
    });
  }

  #took(said: ProbeAnswer, at: number): NodeReport | undefined {
    if (typeof said === "string") {
      if (said === notThere) this.forgetState();
      this.#blame(said);
      return undefined;
    }
    const sighting = { replication: said.replication, at, text: said.text };
    this.#saw(sighting);
    return sighting;
  }

  #saw(sighting: NodeReport): void {
    const before = this.lastReport?.replication;
    const now = sighting.replication;
    if (before !== undefined && (before.replid !== now.replid || before.offset > now.offset))
      this.#replaceLink();
    this.lastReport = sighting;
    this.#refusedIn = undefined;
    this.fault = undefined;
    if (now.role === "replica" && now.linkUp && !now.syncing) this.suspect = false;
    this.#observer.saw(this, sighting);
  }

  /** The server has flushed its data or loaded others. What is asked for now is answered behind that. */
  #reloaded(): void {
    this.#doubt();
    this.probeBefore();
    // ioredis has yet to read the replies that came with the push, and those in front of it speak of the old data.
    process.nextTick(() => this.#doubt());
  }

  /**
   * A primary stays what it was until its next INFO says otherwise, so that iterations survive the FLUSHDB of another
   * database.
   */
  #doubt(): void {
    if (this.connection.waitsForConnection) this.era += 1;
    else this.forgetState();
  }

  #replaceLink(): void {
    this.era += 1;
    this.link.endedAt = performance.now();
    this.link = new Incarnation();
    this.applyRate = new ApplyRate();
  }

  /** Remembers why the position cannot be told, and says so once. */
  #blame(fault: string): void {
    this.fault = fault;
    this.#warning.say(this.connection, fault, this.proof.kind, this.#observer.discovers);
  }

  /** What was asked before is answered as by the server that it was taken for. */
  #judged(): void {
    this.proof.begin();
    this.forgetState();
    this.#observer.judged(this);
    if (this.connection.ready) this.probeBefore();
  }

  #connected(): void {
    this.fault = notAsked;
    this.proof.begin();
    this.greeting.say(this.connection);
    // What is asked by itself must not come into a transaction.
    if (!this.#isLent) this.#tracking.begin(this.connection, () => this.#reloaded());
    this.probeBefore();
  }

  #disconnected(error: Error | undefined): void {
    this.clock.forget();
    this.latency.forget();
    this.#replaceLink();
    this.lastReport = undefined;
    this.fault = error === undefined ? "not connected" : `not connected: ${error.message}`;
    this.#probe = undefined;
  }
}

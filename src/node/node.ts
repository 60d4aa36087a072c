/** One Redis server: its connection, its last report, and the two ways of asking it for its position. */
import type { Command, RedisOptions } from "ioredis";
import { sentTo } from "../commands/destination.js";
import { Connection, type ConnectionOptions } from "../connection/connection.js";
import { isNotForwarded, signOf } from "../connection/proxy-detection.js";
import { ConnectionLostError } from "../errors/errors.js";
import { type Position, positionAt } from "../replication/position.js";
import type { WriteHandle } from "../replication/write-outcome.js";
import { AclDenials } from "./acl-denials.js";
import { ApplyRate } from "./apply-rate.js";
import { CatchUpTimes } from "./catch-up-times.js";
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

/** Receives the events of a server. */
export interface Observer {
  /** Called each time the server is asked for its position. */
  asks(node: Node): void;
  /** Called each time such a question was not answered, or was answered without a position. */
  learntNothing(node: Node): void;
  /** Called with every position that the server reports, in order. */
  saw(node: Node, report: NodeReport): void;
  /** Called now and then while commands are unanswered. */
  waits(node: Node): void;
  /** Called when the connection to a primary was dropped because the server was silent for too long. */
  dropped(node: Node): void;
  /** Whether the reports of the primary name the replicas. */
  readonly discovers: boolean;
  /** Called when a server was recognized as a proxy that spreads commands, or turned out not to be such a proxy. */
  judged(node: Node): void;
}

/** The purpose of a connection; see {@link ConnectionOptions}. */
type Use = Pick<ConnectionOptions, "waitsForConnection" | "timeoutMs" | "mayBlock" | "proxySign">;

const nobody: Observer = {
  asks: () => {},
  learntNothing: () => {},
  saw: () => {},
  waits: () => {},
  dropped: () => {},
  discovers: false,
  judged: () => {},
};

/** Why the position of a server is unknown just after the connection to the server was made. */
export const notAsked = "Tidemark has not asked for its position yet";

export class Node {
  readonly connection: Connection;
  readonly lag = new LagEstimate();
  readonly catchUp = new CatchUpTimes();
  /** How fast the server applies writes, as measured in the present incarnation. */
  applyRate = new ApplyRate();
  readonly latency = new LatencyEstimate();
  readonly clock = new ClockSkew();
  readonly aclDenials = new AclDenials();
  readonly probe: PositionProbe;
  /** The server's share of the reads, relative to other servers. */
  weight = 1;
  /** The zone of the server. Undefined if it is not known. */
  zone: string | undefined;
  /** Replaced when the connection closes, and when the server may have older data or another history than before. */
  incarnation = new Incarnation();
  /**
   * Changes whenever the server may have older or other data than before. The answer to a read is valid only if `era` is the same
   * as when the read was sent.
   */
  era = 0;
  /** Undefined if the server has not been asked on this connection, or if something has indicated a resynchronization since. */
  lastReport: NodeReport | undefined;
  /** The TCP connection on which the server last refused a write because it is a replica. */
  #refusedIn: number | undefined;
  /**
   * Set when the state of the server is in doubt, for example because it refused a read. No read is sent to a replica in doubt
   * until it reports a healthy link to its primary.
   */
  suspect = false;
  /** Why the position of this node is unknown. Undefined if it is known. */
  fault: string | undefined = "not connected";
  /** Until when no read is sent to the server unless the server is known to have caught up. */
  avoidUntil = Number.NEGATIVE_INFINITY;
  /** When the server was last asked for its position, on the monotonic clock. */
  probedAt = Number.NEGATIVE_INFINITY;
  #pendingProbe: { readonly turn: number; readonly probe: PendingProbe } | undefined;
  #batch: WriteBatch | undefined;
  /** Batches whose INFO is unanswered. */
  readonly #unansweredBatches = new Set<WriteBatch>();
  readonly #warning = new ServerWarning();
  readonly #tracking = new DataSetTracking();
  #isDedicated = false;
  readonly clusterMode = new ClusterMode();
  readonly #observer: Observer;

  private constructor(server: RedisOptions, use: Use, observer: Observer, marker?: MarkerKey) {
    this.#observer = observer;
    this.connection = new Connection({
      redis: server,
      ...use,
      onReady: () => this.#connected(),
      onClose: (error) => this.#disconnected(error),
      onTick: () => {
        for (const batch of this.#unansweredBatches) batch.expire(performance.now());
        observer.waits(this);
      },
      onDrop: () => observer.dropped(this),
      onJudged: () => this.#judged(),
    });
    this.probe = new PositionProbe(this.connection, marker);
  }

  /** A node that takes writes. Commands wait up to `timeoutMs` for its connection. */
  static primary(server: RedisOptions, timeoutMs: number, observer: Observer, marker?: MarkerKey): Node {
    return new Node(server, { waitsForConnection: true, timeoutMs, mayBlock: false }, observer, marker);
  }

  /**
   * A node for a further connection to a primary. The node of the first connection reports the state of the server. `proxySign` is
   * set if that node has recognized a proxy.
   */
  static dedicated(server: RedisOptions, timeoutMs: number, proxySign?: string): Node {
    const use = { waitsForConnection: true, timeoutMs, mayBlock: true, proxySign };
    const node = new Node(server, use, nobody);
    node.#isDedicated = true;
    return node;
  }

  /** A node that only answers reads. `timeoutMs` applies once the node is made the primary. */
  static replica(server: RedisOptions, timeoutMs: number, observer: Observer, marker?: MarkerKey): Node {
    return new Node(server, { waitsForConnection: false, timeoutMs, mayBlock: false }, observer, marker);
  }

  /**
   * Sends a write. One INFO follows all writes of this turn of the event loop. The promise of the write resolves after `handle` was
   * ended with the position. If the server refuses the write, `onRefusal` is called with the error, and returns whether the write
   * is sent elsewhere.
   */
  write(command: Command, handle: WriteHandle, onRefusal?: OnRefusal): void {
    this.#batch ??= this.#openBatch();
    this.#batch.add(command, handle, onRefusal);
    this.#send(command);
  }

  /**
   * Sends a command that changes nothing. With `behindWrites` its promise settles after those of the earlier writes of this turn.
   */
  read(command: Command, behindWrites: boolean): void {
    if (behindWrites) this.#batch?.holdBehindWrites(command);
    this.#send(command);
  }

  /** Asks for the position after everything that is sent in this turn. Writes of this turn share the INFO. */
  probeAfter(): void {
    this.#batch ??= this.#openBatch();
  }

  /**
   * Asks for the position after everything that is sent in this turn. Resolves when the server has answered, or when it certainly
   * will not answer.
   */
  afterProbe(): Promise<void> {
    this.probeAfter();
    return new Promise((resolve) => this.#batch?.whenOver(() => resolve()));
  }

  /**
   * Asks for the position after everything that is sent in this turn. Calls `then` with it, or with undefined when it certainly will
   * not become known.
   */
  positionAfter(then: (position: Position | undefined) => void): void {
    this.probeAfter();
    this.#batch?.whenOver(then);
  }

  /** Sends the INFO of the writes so far now, because the next command must not come between the writes and their INFO. */
  flushWrites(): void {
    const batch = this.#batch;
    const { epoch, ready } = this.connection;
    if (batch === undefined) return;
    this.#batch = undefined;
    if (!ready || batch.epoch !== epoch) {
      batch.rejectAll();
      return;
    }
    this.#unansweredBatches.add(batch);
    this.#ask((report, error) => {
      this.#unansweredBatches.delete(batch);
      // The position is valid only if the same TCP connection carried the writes and the INFO, and a primary answered.
      if (this.connection.epoch !== epoch || (error !== undefined && ConnectionLostError.isMeantBy(error)))
        batch.rejectAll();
      else if (report?.replication.role !== "primary") batch.resolveAt(undefined, report !== undefined);
      else batch.resolveAt(positionAt(report.replication.replid, report.replication.offset));
    });
  }

  /**
   * Sends INFO before the reads that follow in this turn. The reads see at least the data of the position that INFO reports,
   * because Redis executes the commands of one connection in order.
   */
  probeBefore(): PendingProbe {
    const { turn, proxySign } = this.connection;
    if (this.#pendingProbe?.turn === turn) return this.#pendingProbe.probe;
    const probe: PendingProbe = { report: undefined };
    if (proxySign !== undefined) {
      this.#blame(proxySign);
      return probe;
    }
    this.#pendingProbe = { turn, probe };
    this.connection.beginTurn();
    this.#ask((report) => {
      probe.report = report;
    });
    if (performance.now() - this.clock.askedAt > clockIntervalMs) askTime(this.connection, this.clock);
    return probe;
  }

  /** Sends a read and INFO in one transaction. The report of the probe is set by the time that the read is answered. */
  readVerified(command: Command): PendingProbe {
    const probe: PendingProbe = { report: undefined };
    const at = performance.now();
    const { command: info, read } = this.probe.probeCommand();
    sendWithProof(this.connection, command, info, (reply) => {
      if (reply === undefined) probe.needless = true;
      else probe.report = this.#record(read(reply), at);
    });
    return probe;
  }

  /** How long the position of the server is believed after the server was asked for it, in milliseconds. */
  trustMs(probeIntervalMs: number): number {
    return this.#tracking.trustMs(probeIntervalMs);
  }

  /** Forgets everything that the server reported, because none of it may be true any more. */
  forgetState(): void {
    this.#replaceIncarnation();
    this.lastReport = undefined;
    this.suspect = true;
  }

  /** Records why the report of the server cannot be true. The server answers no reads until it sends another report. */
  disbelieve(fault: string): void {
    this.suspect = true;
    this.#blame(fault);
  }

  /** Called when a read has found the server behind. For a moment no read relies on the estimated lag of the server. */
  failedProof(now: number): void {
    this.avoidUntil = now + this.lag.ms / 2 + 1;
  }

  /** Resolves when all commands are answered and the server has closed the connection. */
  quit(): Promise<void> {
    // A server answers nothing after QUIT, so the INFO of earlier writes is sent first. Twemproxy does not even answer QUIT, so a
    // proxy is sent PING instead.
    return this.connection.drained(this.isProxy ? "ping" : "quit", () => this.flushWrites());
  }

  /** Resolves when all commands are answered and the positions of writes are known. Rejects if the connection closes first. */
  drained(): Promise<void> {
    return this.connection.drained("ping", () => this.flushWrites());
  }

  /**
   * Whether this is a proxy that spreads commands over several servers. An answer from one of these servers shows nothing about the
   * others.
   */
  get isProxy(): boolean {
    return this.connection.proxySign !== undefined;
  }

  /** Called when the server has refused a write because it is a replica. */
  refusedWrite(): void {
    if (this.isProxy) return;
    this.#refusedIn = this.connection.epoch;
  }

  /** Whether the server can report neither its position nor its replicas. */
  get isUnprovable(): boolean {
    return this.probe.kind !== undefined && this.probe.kind !== "position";
  }

  /** Whether the last report of the server says that it is a replica. */
  get isReplica(): boolean {
    return this.lastReport?.replication.role === "replica";
  }

  /** Whether an answer on this TCP connection has shown that the server is a replica, and no later report says otherwise. */
  get saidReplica(): boolean {
    return this.isReplica || this.#refusedIn === this.connection.epoch;
  }

  #send(command: Command): void {
    sentTo(command, this.connection.server);
    this.connection.sendGiven(command);
  }

  #openBatch(): WriteBatch {
    const batch = new WriteBatch(this);
    this.connection.beginTurn(() => {
      if (this.#batch === batch) this.flushWrites();
    });
    return batch;
  }

  #ask(onAnswer: (report: NodeReport | undefined, error?: Error) => void): void {
    const at = performance.now();
    this.probedAt = at;
    if (this.probe.kind === "proxy") {
      onAnswer(undefined);
      return;
    }
    this.latency.asked(at);
    this.#observer.asks(this);
    this.probe.ask((answer, error) => {
      if (answer !== undefined) this.latency.answered(at, performance.now());
      const { refusal, kind } = this.probe;
      if (refusal !== undefined && kind !== undefined) this.#blame(refusal.message);
      else if (error?.name === "ReplyError" && isNotForwarded(error)) this.connection.judge(signOf(error));
      else if (error?.name === "ReplyError") this.#blame(error.message);
      const report = answer === undefined ? undefined : this.#record(answer, at);
      if (report === undefined) this.#observer.learntNothing(this);
      onAnswer(report, error);
    });
  }

  #record(answer: ProbeAnswer, at: number): NodeReport | undefined {
    if (typeof answer === "string") {
      if (answer === notThere) this.forgetState();
      this.#blame(answer);
      return undefined;
    }
    const report = { replication: answer.replication, at, text: answer.text };
    this.#saw(report);
    return report;
  }

  #saw(report: NodeReport): void {
    const before = this.lastReport?.replication;
    const now = report.replication;
    if (before !== undefined && (before.replid !== now.replid || before.offset > now.offset))
      this.#replaceIncarnation();
    this.lastReport = report;
    this.#refusedIn = undefined;
    this.fault = undefined;
    if (now.role === "replica" && now.linkUp && !now.syncing) this.suspect = false;
    this.#observer.saw(this, report);
  }

  /**
   * Called when the server has flushed its data or loaded another data set. Its answers to questions that are sent from now on are
   * about the new data.
   */
  #reloaded(): void {
    this.#doubt();
    this.probeBefore();
    // ioredis has yet to read the replies that came together with the push. Replies in front of the push are about the old data, so
    // whatever they report is forgotten again.
    process.nextTick(() => this.#doubt());
  }

  /**
   * Puts all earlier answers in doubt. A primary keeps its last report until its next INFO, so that iterations survive a FLUSHDB of
   * another database.
   */
  #doubt(): void {
    if (this.connection.waitsForConnection) this.era += 1;
    else this.forgetState();
  }

  #replaceIncarnation(): void {
    this.era += 1;
    this.incarnation.endedAt = performance.now();
    this.incarnation = new Incarnation();
    this.applyRate = new ApplyRate();
  }

  /** Remembers why the position is unknown, and warns once. The first connection to a server warns for the dedicated ones. */
  #blame(fault: string): void {
    this.fault = fault;
    if (this.#isDedicated) return;
    this.#warning.give(this.connection, fault, this.probe.kind, this.#observer.discovers);
  }

  /** Starts over, because earlier answers were taken for those of another kind of server. */
  #judged(): void {
    this.probe.begin();
    this.forgetState();
    this.#observer.judged(this);
    if (this.connection.ready) this.probeBefore();
  }

  #connected(): void {
    this.fault = notAsked;
    this.probe.begin();
    this.clusterMode.announce(this.connection);
    // A dedicated connection may carry a transaction, and questions that Tidemark sends by itself must not come between its
    // commands.
    if (!this.#isDedicated) this.#tracking.begin(this.connection, () => this.#reloaded());
    this.probeBefore();
  }

  #disconnected(error: Error | undefined): void {
    this.clock.forget();
    this.latency.forget();
    this.#replaceIncarnation();
    this.lastReport = undefined;
    this.fault = error === undefined ? "not connected" : `not connected: ${error.message}`;
    this.#pendingProbe = undefined;
  }
}

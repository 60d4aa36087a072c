/** One server that `tidemark top` asks again and again. */
import { setTimeout as pause } from "node:timers/promises";
import { parseReplicationInfo, type ReplicationInfo } from "../../replication/replication-info.js";
import { valueIn } from "../inspection/answer.js";
import { type InfoFields, numberIn } from "../inspection/info.js";
import { positionOf } from "../inspection/position.js";
import type { InspectedServer, Look } from "../inspection/server.js";
import { printable } from "../terminal/printable.js";
import { CatchUp } from "./catch-up.js";
import type { LastReport } from "./groups.js";
import { stateOfServer } from "./server-state.js";
import { sparklineMs } from "./sparkline.js";
import type { WatchedRow } from "./warnings.js";

/** A server that leaves a question unanswered for this long counts as silent. */
const silentAfterMs = 1_000;

/** What a row says about the whole group. */
export interface RowContext {
  readonly primary: InspectedServer | undefined;
  readonly maxStalenessMs: number;
  readonly now: number;
}

export class WatchedServer {
  readonly server: InspectedServer;
  readonly #catchUp = new CatchUp();
  #lags: { readonly at: number; readonly lagMs: number | undefined }[] = [];
  #askedAt: number | undefined;
  #answeredAt = Number.NEGATIVE_INFINITY;
  #lagBytes: number | undefined;
  #isChased = false;
  #evictedBefore: number | undefined;
  lastReport: LastReport = { role: undefined, replid: undefined };

  constructor(server: InspectedServer) {
    this.server = server;
  }

  /** Asks the server once more, unless it has not answered the last time yet. */
  async look(look: Look): Promise<void> {
    if (this.#askedAt !== undefined) return;
    const askedAt = performance.now();
    this.#askedAt = askedAt;
    await this.server.look(look);
    this.#askedAt = undefined;
    this.#answeredAt = (askedAt + performance.now()) / 2;
    this.#remember();
  }

  /** How long the server has left a question unanswered. Undefined if that is not long. */
  silentMs(now: number): number | undefined {
    const ms = this.#askedAt === undefined ? 0 : now - this.#askedAt;
    return ms > silentAfterMs ? ms : undefined;
  }

  /** Compares the positions that this server and its primary reported after `since`. */
  compareWith(primary: WatchedServer | undefined, since: number): void {
    this.#lagBytes = undefined;
    if (primary === undefined || primary === this) return;
    const [own, goal] = [this.#replicationAfter(since), primary.#replicationAfter(since)];
    if (own?.role !== "replica" || goal?.role !== "primary" || own.replid !== goal.replid) return;
    this.#catchUp.follow(goal.replid);
    this.#catchUp.compare(goal.offset, own.offset, primary.#answeredAt);
    this.#lagBytes = Math.max(goal.offset - own.offset, 0);
  }

  /** Asks the replica for its position after 1, 2, 4 … ms, until it has caught up or `until` has come. */
  async chase(until: number): Promise<void> {
    if (this.#isChased || this.#lagBytes === undefined) return;
    const replid = this.lastReport.replid;
    this.#isChased = true;
    for (let ms = 1; this.#catchUp.isBehind && performance.now() + ms < until; ms *= 2) {
      await pause(ms);
      const position = valueIn(await positionOf(this.server));
      if (position === undefined || !replid?.startsWith(position.replication.replid)) break;
      this.#catchUp.reach(position.replication.offset, position.at);
    }
    this.#isChased = false;
  }

  /** The row of this server, whose lag becomes part of the history. */
  row({ primary, maxStalenessMs, now }: RowContext): WatchedRow {
    const { server } = this;
    const silentMs = this.silentMs(now);
    const fields = silentMs === undefined ? valueIn(server.info) : undefined;
    const lagMs = this.#lagBytes === undefined ? undefined : this.#catchUp.lagMs(now);
    this.#lags = [...this.#lags.filter(({ at }) => now - at < sparklineMs), { at: now, lagMs }];
    const { state, reason } = stateOfServer(server, { primary, lagMs, maxStalenessMs, silentMs });
    const number = (name: string): number | undefined => fields && numberIn(fields, name);
    const limit = number("maxmemory") ?? 0;
    return {
      address: printable(server.address),
      role: server.role ?? this.lastReport.role,
      state,
      reason: reason === undefined ? undefined : printable(reason),
      lagBytes: this.#lagBytes,
      lagMs,
      hasCaughtUp: !this.#catchUp.isBehind,
      history: this.#lags.map(({ at, lagMs }) => ({ ageMs: now - at, lagMs })),
      opsPerSecond: number("instantaneous_ops_per_sec"),
      link: fields && linkIn(fields),
      clients: number("connected_clients"),
      memoryBytes: number("used_memory"),
      evictedKeys: Math.max((number("evicted_keys") ?? 0) - (this.#evictedBefore ?? 0), 0),
      acceptsWrites: fields?.get("slave_read_only") === "0",
      memoryShare: limit > 0 ? (number("used_memory") ?? 0) / limit : undefined,
    };
  }

  #replicationAfter(since: number): ReplicationInfo | undefined {
    return this.#answeredAt < since ? undefined : parseReplicationInfo(valueIn(this.server.replicationText));
  }

  #remember(): void {
    const fields = valueIn(this.server.info);
    if (fields === undefined) return;
    this.#evictedBefore ??= numberIn(fields, "evicted_keys");
    this.lastReport = { role: this.server.role, replid: fields.get("master_replid") };
  }
}

function linkIn(fields: InfoFields): WatchedRow["link"] {
  const status = fields.get("master_link_status");
  if (status === undefined) return undefined;
  const isUp = status === "up";
  const seconds = numberIn(fields, isUp ? "master_last_io_seconds_ago" : "master_link_down_since_seconds");
  // Redis reports -1 for a link that was never up.
  return seconds === undefined || seconds < 0 ? undefined : { isUp, seconds };
}

/** A primary and its replicas, watched by sentinels that promote a replica when the primary is gone. */

import { SentinelEvents } from "../listeners/sentinel-events.js";
import { started } from "../stages/started-groups.js";
import { waitUntil } from "../wait-until.js";
import { canHurrySentinels } from "./abilities.js";
import { type AnnouncedNode, caughtUp, follows, startAll, startAnnouncedNode } from "./announced-node.js";
import { RedisServer } from "./redis-server.js";
import { type SentinelView, viewOf } from "./sentinel-view.js";

const NAME = "tidemark-test";
/** Sentinels that all stand for election at once vote each for itself, and elect none. */
const STAGGER_MS = 200;
/**
 * A sentinel reconnects no faster than it pings: with a second between two pings it takes the promoted node, which
 * closed its connections, for dead. With less than 200 ms it finds no replica that told of itself in five of them.
 */
const PERIODS = { "ping-period": 250, "ask-period": 100 };
/** Enough for a ping that is missed, where there is a second between two. */
const DOWN_AFTER_MS = canHurrySentinels ? 1_000 : 2_500;
/** A failover and the rest of a discovery after it, on a machine that has little time. */
const READY_MS = 30_000;

/** For tests that are not about how long sentinels take: with these they convert an old primary in one second. */
export const quickPeriods = { "publish-period": 200, "info-period": 500 };

export interface SentinelGroupOptions {
  readonly replicas?: number;
  readonly sentinels?: number;
  /** Further arguments for every node, and for every sentinel. */
  readonly args?: readonly string[];
  readonly sentinelArgs?: readonly string[];
  /** After how long without an answer the first sentinel takes a node for dead; the others follow one by one. */
  readonly downAfterMs?: number;
  /** A failover that does not get on is given up after it, and tried again after twice the time. */
  readonly failoverTimeoutMs?: number;
  /** Periods of the sentinels in ms, by the names of SENTINEL DEBUG, until they are restarted; not in Redis 6. */
  readonly periods?: Readonly<Record<string, number>>;
  readonly password?: string;
  readonly sentinelPassword?: string;
}

/** Resolves when all sentinels know each other and all nodes, and all replicas are in sync. */
export function startSentinelGroup(options: SentinelGroupOptions = {}): Promise<SentinelGroup> {
  return started(new SentinelGroup(), options);
}

export class SentinelGroup implements AsyncDisposable {
  /** By which the sentinels know the primary. */
  readonly name = NAME;
  readonly events = new SentinelEvents();
  readonly #nodes: AnnouncedNode[] = [];
  readonly #sentinels: RedisServer[] = [];

  /** In the order of their start: at first the primary, whatever the sentinels make of them later. */
  get nodes(): readonly AnnouncedNode[] {
    return this.#nodes;
  }

  get sentinels(): readonly RedisServer[] {
    return this.#sentinels;
  }

  async start(options: SentinelGroupOptions): Promise<void> {
    const { replicas = 2, sentinels = 3, password, args = [] } = options;
    const locks = password === undefined ? [] : ["--requirepass", password, "--masterauth", password];
    const primary = await startAnnouncedNode({ args: [...locks, ...args] });
    this.#nodes.push(primary);
    // In the file and not by argument, so that after a restart each follows whom the sentinels last told it.
    const config = `replicaof ${primary.host} ${primary.port}\n`;
    const startReplica = () => startAnnouncedNode({ args: [...locks, ...args], config });
    this.#nodes.push(...(await startAll(Array.from({ length: replicas }, startReplica))));
    // Only then, because a sentinel that finds the replicas at its first look need not wait for the next.
    await this.#allFollow(primary);
    const startSentinel = (_: unknown, i: number) => RedisServer.start(sentinelOptions(primary, i, options));
    this.#sentinels.push(...(await startAll(Array.from({ length: sentinels }, startSentinel))));
    const periods = { ...PERIODS, ...options.periods };
    await Promise.all(this.#sentinels.map((server) => this.events.listenTo(server)));
    await Promise.all(this.#sentinels.map((server) => setPeriods(server, periods)));
    await this.ready();
  }

  /** The one that the sentinel with the newest configuration names. */
  async primary(): Promise<AnnouncedNode> {
    const views = await Promise.all(this.#watching().map((sentinel) => viewOf(sentinel, NAME)));
    const [newest] = views.sort((one, other) => other.epoch - one.epoch);
    const primary = this.#nodes.find(({ port }) => port === newest?.primary);
    if (primary === undefined) throw new Error("no sentinel is alive to name the primary");
    return primary;
  }

  /** The nodes that run, but for the primary. */
  async replicas(): Promise<AnnouncedNode[]> {
    const primary = await this.primary();
    return this.#nodes.filter((node) => node !== primary && node.server.isAlive);
  }

  /**
   * All sentinels that run agree on the primary and know each other and all nodes that run, and these follow
   * it and have applied what it had. After a failover it takes the ten seconds until the old primary is told.
   */
  async ready(): Promise<void> {
    let primary = await this.primary();
    const isAgreed = async () => {
      primary = await this.primary();
      const views = await Promise.all(this.#watching().map((sentinel) => viewOf(sentinel, NAME)));
      return views.every((view) => this.#isWhole(view, primary));
    };
    await waitUntil(isAgreed, { what: "all Sentinels know each other and all nodes", timeoutMs: READY_MS });
    await this.#allFollow(primary);
    await this.caughtUp();
  }

  /** All replicas that run have applied what the primary had at this call. */
  async caughtUp(): Promise<void> {
    await caughtUp(await this.primary(), await this.replicas());
  }

  /** Has one sentinel promote a replica although the primary is well; resolves once a replica is named in its place. */
  async failover(): Promise<void> {
    const since = performance.now();
    const isNamed = () => this.events.named("+switch-master", since).length > 0;
    let asked = 0;
    const isAskedAgain = async () => {
      // On a machine that has little time it gives up what it began, and says so.
      const abortedSince = this.events.all.some(
        ({ name, at }) => name.startsWith("-failover-abort") && at > asked,
      );
      if (isNamed()) return true;
      if (asked > 0 && !abortedSince) return false;
      const [sentinel] = this.#watching();
      const reply = await sentinel?.admin().call("SENTINEL", "FAILOVER", NAME);
      if (reply === "OK") asked = performance.now();
      return false;
    };
    await waitUntil(isAskedAgain, { what: "a Sentinel names another primary", timeoutMs: READY_MS });
  }

  async stop(): Promise<void> {
    this.events.stop();
    await Promise.all([...this.#sentinels, ...this.#nodes].map((started) => started.stop()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #watching(): RedisServer[] {
    return this.#sentinels.filter((sentinel) => sentinel.isAlive);
  }

  async #allFollow(primary: AnnouncedNode): Promise<void> {
    const others = this.#nodes.filter((node) => node !== primary && node.server.isAlive);
    const isFollowed = async () =>
      (await Promise.all(others.map((node) => follows(node, primary)))).every((follows) => follows);
    await waitUntil(isFollowed, { what: `all nodes follow the one at ${primary.port}`, timeoutMs: READY_MS });
  }

  #isWhole(view: SentinelView, primary: AnnouncedNode): boolean {
    const others = this.#nodes.filter((node) => node !== primary && node.server.isAlive);
    return (
      view.primary === primary.port &&
      view.flags === "master" &&
      view.otherSentinels === this.#sentinels.length - 1 &&
      others.every(({ port }) => view.replicas.get(port) === "slave")
    );
  }
}

function sentinelOptions(primary: AnnouncedNode, index: number, options: SentinelGroupOptions) {
  const {
    sentinels = 3,
    sentinelArgs = [],
    downAfterMs = DOWN_AFTER_MS,
    failoverTimeoutMs = 3_000,
  } = options;
  const { password, sentinelPassword } = options;
  const lines = [
    `sentinel monitor ${NAME} ${primary.host} ${primary.port} ${Math.floor(sentinels / 2) + 1}`,
    `sentinel down-after-milliseconds ${NAME} ${downAfterMs + index * STAGGER_MS}`,
    `sentinel failover-timeout ${NAME} ${failoverTimeoutMs}`,
  ];
  if (password !== undefined) lines.push(`sentinel auth-pass ${NAME} ${password}`);
  // Sentinels use it for each other, too.
  const lock = sentinelPassword === undefined ? [] : ["--requirepass", sentinelPassword];
  return { config: `${lines.join("\n")}\n`, args: [...lock, ...sentinelArgs, "--sentinel"] };
}

/** Others keep their own periods; all goes well there too, only later. */
async function setPeriods(sentinel: RedisServer, periods: Readonly<Record<string, number>>): Promise<void> {
  if (!canHurrySentinels) return;
  await sentinel.admin().call("SENTINEL", "DEBUG", ...Object.entries(periods).flat());
}

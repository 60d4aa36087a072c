/** Requests of users at random, without servers: each decision about a replica is compared with brute force. */
import { Command } from "ioredis";
import { afterEach, beforeEach, expect, it } from "vitest";
import { hashOf } from "../../src/commands/key-hash.js";
import { RuledKeys } from "../../src/commands/touched-keys.js";
import { leaveUntracked } from "../../src/commands/untracked.js";
import { rulesOf } from "../../src/consistency/level.js";
import { Counts as TidemarkCounts } from "../../src/diagnostics/counts.js";
import { roundedToken } from "../../src/http/rounded-token.js";
import { checkKeyOptions } from "../../src/options/key-options.js";
import { LostWrites } from "../../src/reads/lost-writes.js";
import { settleReads } from "../../src/reads/monotonic-reads.js";
import { requirementOf } from "../../src/reads/read-requirement.js";
import { primaryOnlyReason } from "../../src/reads/server-selection.js";
import { covers, Lineage } from "../../src/replication/lineage.js";
import { OffsetTimeline } from "../../src/replication/offset-timeline.js";
import type { Position } from "../../src/replication/position.js";
import type { ReplicationInfo } from "../../src/replication/replication-info.js";
import type { ReadSource } from "../../src/session/read-progress.js";
import { Session } from "../../src/session/session.js";
import { SessionSetup } from "../../src/session/session-setup.js";
import { decodeToken, encodeToken } from "../../src/session/token.js";
import type { Shard } from "../../src/shard/shard.js";
import {
  type Chance,
  type Draft,
  oneOf,
  readsOf,
  scriptOf,
  writeOf,
} from "../support/commands/keyed-commands.js";
import {
  type Chain,
  has,
  ofAllKeys,
  type Past,
  type Point,
  scopeOfAll,
  Witness,
  type Write,
} from "../support/commands/keyed-oracle.js";
import { hasDoublings } from "../support/doublings.js";
import { seeded } from "../support/load/seeded.js";
import { HostWithoutServers } from "../support/stages/session-host.js";
import { start, ttlMs } from "../support/stages/still-sessions.js";

const histories = Number(process.env.MODEL_HISTORIES ?? (hasDoublings ? 20_000 : 5_000));
const firstSeed = Number(process.env.MODEL_SEED ?? 1);
const maxStalenessMs = 10_000;
const rules = rulesOf("session");

let clock = 0;

const clocks = { date: Date.now, performance: performance.now };

// Spies would keep every call.
beforeEach(() => {
  Date.now = () => start;
  performance.now = () => {
    clock += 1;
    return clock;
  };
});

afterEach(() => {
  Date.now = clocks.date;
  performance.now = clocks.performance;
});

/** Counts of the decisions by outcome. */
interface Counts {
  replica: number;
  primary: number;
  /** Decisions in which brute force lets a replica answer, and must not be stricter. */
  exact: number;
  /** Those among them that let a replica answer which lacked other writes of its user. */
  lacking: number;
}

/** A token and the writes it stands for. */
interface Held {
  readonly token: string;
  readonly chain: Chain;
  readonly isLoose: boolean;
}

interface Replica {
  incarnation: ReadSource & { endedAt: number | undefined };
  state: Point;
  /** Its last report, after all reads. */
  lastReport: { readonly at: number; readonly replication: ReplicationInfo } | undefined;
}

/** A write whose answer is still on its way. */
interface Pending {
  readonly place: Place;
  readonly write: Write;
  end(position: Position | "unknown"): void;
}

interface Request {
  readonly session: Session;
  readonly witness: Witness;
  readonly pending: Pending[];
  /** Whether it requires more than it has to, as after a rounded token or a lost write. */
  isLoose: boolean;
}

/** One shard: its true state, and its state as the app server knows it. */
class Place {
  readonly log: Write[] = [];
  readonly history = new OffsetTimeline(maxStalenessMs);
  readonly primary = { connection: { address: "127.0.0.1:1" } };
  readonly replicas: Replica[];
  readonly slotsGainedAt = Number.NEGATIVE_INFINITY;
  readonly holdsAllKeys: boolean;
  readonly lineage: Lineage;
  state: Point;
  readonly #places: readonly Place[];
  readonly #names: () => string;

  constructor(holdsAllKeys: boolean, lineage: Lineage, places: readonly Place[], names: () => string) {
    [this.holdsAllKeys, this.lineage, this.#places, this.#names] = [holdsAllKeys, lineage, places, names];
    this.state = { past: { replid: names(), forkedAt: 0, goesOn: false }, offset: 1 };
    this.replicas = [this.state, this.state].map((state) => ({
      incarnation: newIncarnation(),
      state,
      lastReport: undefined,
    }));
  }

  get shard(): Shard {
    return this as unknown as Shard;
  }

  outcome(position: Position): "valid" | "lost" | "unknown" {
    const { replid } = this.history;
    return replid === undefined ? "unknown" : this.lineage.presenceOf(position, replid);
  }

  survivor(position: Position): Position {
    return this.lineage.lastShared(position, this.history.replid ?? position.replid);
  }

  belongsToOtherShard(position: Position): boolean {
    if (this.holdsAllKeys || this.outcome(position) !== "unknown") return false;
    return this.#places.some((place) => place.outcome(position) !== "unknown");
  }

  /** Somebody writes. */
  add(keys: readonly string[] | undefined, bytes: number): Write {
    this.state = { past: this.state.past, offset: this.state.offset + bytes };
    const write: Write = { at: this.state, keys };
    this.log.push(write);
    return write;
  }

  /** The app server asks the primary where it is. */
  ask(): Position {
    const at = performance.now();
    const { past, offset } = this.state;
    const { parent, goesOn, forkedAt, replid } = past;
    if (parent !== undefined && goesOn) {
      const ancestor = { replid: parent.replid, divergesAt: forkedAt + 1 };
      this.lineage.learn({ role: "primary", replid, offset, ancestor, backlogActive: true });
    }
    this.history.record(at, { replid, offset });
    return { replid, offset };
  }

  /** The writes in `state`. */
  in(state: Point): Write[] {
    return this.log.filter(({ at }) => has(state, at));
  }

  isLost(write: Write): boolean {
    return this.log.includes(write) && !has(this.state, write.at);
  }

  /** Another primary, which has all up to `forkedAt`; replicas that have more are emptied. */
  failOver(forkedAt: number, goesOn: boolean): void {
    const past: Past = { replid: this.#names(), parent: this.state.past, forkedAt, goesOn };
    const before = this.state.past;
    this.state = { past, offset: goesOn ? forkedAt : 1 };
    for (const replica of this.replicas) {
      const follows = goesOn && replica.state.past === before && replica.state.offset <= forkedAt;
      replica.state = { past, offset: follows ? replica.state.offset : this.state.offset };
      replica.lastReport = undefined;
      if (follows) continue;
      replica.incarnation.endedAt = performance.now();
      replica.incarnation = newIncarnation();
    }
  }
}

function newIncarnation(): Replica["incarnation"] {
  return { endedAt: undefined };
}

/** One history of several users. */
class World {
  readonly #below: (n: number) => number;
  readonly #places: Place[] = [];
  readonly #tokens: Held[] = [];
  readonly #open: Request[] = [];
  readonly #counts: Counts;
  readonly #prefix: string;
  readonly #scopes: readonly string[];
  readonly #maxKeys: number;
  readonly #declares: boolean;
  readonly #isMonotonic: boolean;
  /** Whether there are failovers. */
  readonly #isShaky: boolean;
  readonly #keys: RuledKeys;
  readonly #losses = new LostWrites(new TidemarkCounts({}), "report");
  readonly #names: readonly string[];
  /** Whether a primary has begun a history that nothing joins to the one before. */
  #hasGap = false;
  #hasFork = false;

  constructor(seed: number, counts: Counts) {
    const random = seeded(seed);
    this.#below = (n) => Math.floor(random() * n);
    this.#counts = counts;
    this.#prefix = oneOf(this.#chance, ["", "", "p:"]);
    this.#scopes = oneOf(this.#chance, [[], ["sess:"], ["sess:", "own/"], ["s", "sess:", "sess:vip:"]]);
    this.#maxKeys = oneOf(this.#chance, [8, 8, 8, 0, 1, 2, 3, 32]);
    this.#declares = this.#below(3) === 0;
    this.#isMonotonic = this.#below(4) === 0;
    this.#isShaky = this.#below(3) === 0;
    const options = { scopes: this.#scopes, untracked: [], scriptsDeclareKeys: this.#declares };
    this.#keys = new RuledKeys(checkKeyOptions(options, this.#prefix).keyRules);
    this.#names = oneOf(this.#chance, [
      ["1", "2", "3"],
      ["1", "2", "sess:1", "sess:2"],
      ["1", "2", "3", "4", "sess:1", "sess:vip:1", "own/1", "é"],
      Array.from({ length: 14 }, (_, i) => (i % 3 === 0 ? `sess:${i}` : `${i}`)),
    ]);
    const lineage = new Lineage();
    const count = this.#below(5) === 0 ? 2 : 1;
    const replid = (): string =>
      Array.from({ length: 16 }, (_, i) => (i === 0 ? "8" : this.#below(16).toString(16))).join("");
    for (let i = 0; i < count; i++) this.#places.push(new Place(count === 1, lineage, this.#places, replid));
    for (const place of this.#places) place.ask();
  }

  get #chance(): Chance {
    return {
      below: this.#below,
      key: () => oneOf({ below: this.#below }, this.#names),
      spelled: (key) => {
        const way = this.#below(6);
        if (way === 0 && this.#prefix === "") return Buffer.from(key);
        return way === 1 && /^\d+$/.test(key) ? Number(key) : key;
      },
    };
  }

  live(): void {
    const steps = 8 + this.#below(30);
    for (let i = 0; i < steps; i++) {
      clock += 1;
      this.#step(this.#below(100));
    }
  }

  #step(dice: number): void {
    const request = this.#open[this.#below(3)];
    const place = oneOf(this.#chance, this.#places);
    if (dice < 12) this.#grow(place, dice);
    else if (dice < 18 && this.#isShaky) this.#failOver(place);
    else if (request === undefined) this.#begin();
    else if (dice < 42) this.#write(request, place);
    else if (dice < 50) this.#answer(request, 1);
    else if (dice < 76) this.#read(request, place);
    else if (dice < 78) this.#take(request);
    else this.#end(request);
  }

  /** The steps of others: they write, replicas apply, the app server asks the primary. */
  #grow(place: Place, dice: number): void {
    if (dice < 3) place.add(["other"], 1 + this.#below(300));
    else if (dice < 6) place.ask();
    else this.#apply(place);
  }

  #apply(place: Place): void {
    for (const replica of place.replicas) {
      const { past, offset } = place.state;
      const from = replica.state.offset;
      replica.state = { past, offset: from + this.#below(Math.max(1, offset - from + 1)) };
    }
  }

  #failOver(place: Place): void {
    for (let times = 1 + this.#below(2); times > 0; times--) {
      const { offset } = place.state;
      const goesOn = this.#below(6) > 0;
      // Of two in a row the app server does not learn how they are joined.
      if (!goesOn || place.history.replid !== place.state.past.replid) this.#hasGap = true;
      place.failOver(goesOn ? Math.max(1, offset - this.#below(400)) : offset, goesOn);
    }
    this.#hasFork = true;
    for (const request of this.#open) this.#answer(request, request.pending.length, true);
  }

  #begin(): void {
    const any = (): Held | undefined => this.#tokens[this.#below(this.#tokens.length + 1)];
    const tokens = Array.from({ length: 1 + this.#below(3) }, any).flatMap((one) => one ?? []);
    const session = new Session(
      new HostWithoutServers(this.#keys, this.#maxKeys),
      new SessionSetup(
        tokens.map(({ token }) => token),
        undefined,
        this.#isMonotonic,
      ),
    );
    const chains = tokens.map(({ chain }) => chain);
    const witness = new Witness(this.#scopes, chains);
    const isLoose = tokens.some((token) => token.isLoose);
    this.#open.push({ session, witness, pending: [], isLoose });
  }

  /** A script counts for the keys it declares where these are in one scope that was named, or all scripts declare theirs. */
  #draft(isWrite: boolean): Draft {
    if (this.#below(12) > 0) return isWrite ? writeOf(this.#chance) : readsOf(this.#chance);
    const names = isWrite ? ["eval", "EVALSHA", "fcall"] : ["eval_ro", "fcall_ro"];
    const draft = scriptOf(this.#chance, names);
    const scope = scopeOfAll(draft.keys, this.#scopes);
    if (scope === "several") return { ...draft, keys: this.#declares ? draft.keys : undefined, isHard: true };
    return scope?.scope === "" && !this.#declares ? { ...draft, keys: undefined } : draft;
  }

  #commandsOf(draft: Draft): Command[] {
    return draft.commands.map(
      ([name, ...args]) => new Command(name, args, { keyPrefix: this.#prefix || undefined }),
    );
  }

  #write(request: Request, place: Place): void {
    const { session, witness, pending } = request;
    const draft = this.#draft(true);
    const commands = this.#commandsOf(draft);
    const write = place.add(draft.keys, 1 + this.#below(300));
    if (this.#below(15) === 0) {
      for (const command of commands) leaveUntracked(command);
      const kinds = commands.map(() => "write" as const);
      expect(session.writerOf(commands, kinds)).toBeUndefined();
      return;
    }
    if (draft.isHard) request.isLoose = true;
    witness.wrote(place, write);
    // A read in its scope would be required to see a message that touches no key.
    if (draft.keys?.length === 0) request.isLoose = true;
    const handle = session.beginWrite(commands[0]?.name, session.touchedBy(commands), place);
    pending.push({ place, write, end: (position) => handle.end(position) });
    if (this.#below(3) > 0) this.#answer(request, pending.length);
  }

  /** The primary answers writes, with its position behind them; or the connection is lost. */
  #answer({ pending }: Request, count: number, isLost = this.#below(150) === 0): void {
    for (const { place, write, end } of pending.splice(0, count)) {
      if (isLost) end("unknown");
      else {
        const position = place.ask();
        write.knownAt = place.state;
        end(position);
      }
    }
  }

  #read(request: Request, place: Place): void {
    const { session, witness } = request;
    const draft = this.#draft(false);
    const commands = this.#commandsOf(draft);
    const { keys } = draft;
    for (const position of session.positions)
      if (this.#places.some((one) => one.outcome(position) === "lost")) request.isLoose = true;
    this.#losses.check(
      this.#places.map(({ shard }) => shard),
      session,
      "get",
    );
    if (session.positions.some((position) => this.#places.some((one) => one.outcome(position) === "lost")))
      throw new Error(`A lost position is still required: ${JSON.stringify(session.positions)}`);
    const touched = session.touchedBy(commands);
    const certain = primaryOnlyReason(place.shard, session, touched, rules, true);
    witness.reads(keys);
    const isFirst = !witness.followsReads(place, keys);
    if (certain === "write-in-flight" && !draft.isHard && !request.isLoose) {
      const writes = request.pending.map(({ write }) => write);
      expect(witness.isBehind(writes, keys)).toBe(true);
    }
    const replica = oneOf(this.#chance, place.replicas);
    const mayAnswer = certain === undefined && this.#mayAnswer(request, place, draft, replica, isFirst);
    const progress = session.progressIn(place, touched);
    if (mayAnswer) {
      progress.readFrom(replica.incarnation);
      progress.readLeft(performance.now());
      progress.readBy(replica.incarnation);
      replica.lastReport = undefined;
      this.#counts.replica += 1;
    } else {
      progress.readAhead(performance.now());
      this.#counts.primary += 1;
    }
    witness.hasRead(place, keys, place.in(mayAnswer ? replica.state : place.state));
    // Data that was read before the roles changed may be gone.
    if (this.#hasFork) request.isLoose = true;
  }

  /** Whether a replica may answer, now or once it has applied more; each decision is compared with brute force. */
  #mayAnswer(request: Request, place: Place, draft: Draft, replica: Replica, isFirst: boolean): boolean {
    const { session, witness } = request;
    const touched = session.touchedBy(this.#commandsOf(draft));
    const { positions, since } = requirementOf(place.shard, session, touched, rules, maxStalenessMs);
    const isInOrder = session.progressIn(place, touched).mayReadFrom(replica.incarnation);
    const needed = [...witness.needs(place, draft.keys)].filter((write) => place.log.includes(write));
    const isExact = isFirst && since === Number.NEGATIVE_INFINITY && this.#isExact(request, draft);
    const { past, offset } = replica.state;
    const missing = place.state.offset - offset;
    const decide = (state: Point): boolean => {
      const said = saidAt(state, place);
      const asOf = place.history.asOf(said);
      if (asOf === undefined || asOf < since) return false;
      const mayAnswer = isInOrder && positions.every((position) => covers(said, position, place.lineage));
      const lacks = needed.filter((write) => !place.isLost(write) && !has(state, write.at));
      if (mayAnswer && lacks.length > 0) throw new Error(report("is weaker", draft, positions, state, lacks));
      if (!isExact || !this.#isAboveFloor(request, place, state)) return mayAnswer;
      if (!needed.every((write) => has(state, write.knownAt ?? write.at))) return mayAnswer;
      this.#counts.exact += 1;
      if (!mayAnswer) throw new Error(report("is stronger", draft, positions, state, needed));
      for (const write of witness.chain.keys())
        if (place.log.includes(write) && !has(state, write.at)) {
          this.#counts.lacking += 1;
          break;
        }
      return mayAnswer;
    };
    if (missing > 0) for (let i = 0; i < 3; i++) decide({ past, offset: offset + this.#below(missing + 1) });
    return decide(replica.state);
  }

  #isExact(request: Request, draft: Draft): boolean {
    return (
      !request.isLoose &&
      draft.isHard !== true &&
      draft.keys?.length !== 0 &&
      !this.#hasGap &&
      !request.session.pinned
    );
  }

  /** Whether the replica has all writes to keys that no token has room for. */
  #isAboveFloor({ witness }: Request, place: Place, state: Point): boolean {
    const latest = new Map<string, number>();
    for (const [write, isOfAll] of witness.chain) {
      const { past, offset } = write.knownAt ?? write.at;
      // Each history has its own list, and a token room for so many of all.
      const names = isOfAll ? [] : (write.keys ?? []).map((key) => `${past.replid} ${key}`);
      for (const name of names) latest.set(name, Math.max(latest.get(name) ?? 0, offset));
    }
    if (latest.size <= this.#maxKeys) return true;
    if (this.#hasFork || this.#places.length > 1) return false;
    const floor = [...latest.values()].sort((one, other) => other - one)[this.#maxKeys] ?? 0;
    return has(state, { past: place.state.past, offset: floor });
  }

  /** A token comes while the request is under way. */
  #take(request: Request): void {
    const held = this.#tokens[this.#below(this.#tokens.length)];
    if (held === undefined) return;
    request.session.add(held.token);
    for (const [write, isOfAll] of held.chain)
      request.witness.chain.set(write, isOfAll || request.witness.chain.get(write) === true);
    request.isLoose ||= held.isLoose;
  }

  /** One request ends, or goes on after a token of it was given. */
  #end(request: Request): void {
    this.#answer(request, request.pending.length);
    if (this.#below(4) > 0) this.#open.splice(this.#open.indexOf(request), 1);
    const { session, witness } = request;
    const chain = new Map(witness.chain);
    if (this.#isMonotonic) this.#anchor(request, chain);
    const { isLoose } = request;
    const way = this.#below(10);
    if (way === 0) this.#hold(session.token(), ofAllKeys(chain), isLoose);
    else if (way === 1) this.#hold(withoutKeys(session.keyedToken()), ofAllKeys(chain), isLoose);
    else if (way === 2)
      this.#hold(roundedToken(session.keyedToken(), 1 + this.#below(3), ttlMs), ofAllKeys(chain), true);
    else if (way === 3) this.#hold(roundedToken(session.keyedToken(), 0, ttlMs), chain, isLoose);
    else this.#hold(session.keyedToken(), chain, isLoose);
  }

  /** Read data counts like a write to any key. */
  #anchor(request: Request, chain: Map<Write, boolean>): void {
    const { session, witness } = request;
    request.isLoose = true;
    for (const place of this.#places) {
      place.ask();
      const at = performance.now();
      for (const replica of place.replicas)
        replica.lastReport = { at, replication: saidAt(replica.state, place) };
      for (const write of witness.seenIn(place)) chain.set(write, true);
    }
    const shards = this.#places.map(({ shard }) => shard);
    expect(settleReads(session, shards)).toBeUndefined();
  }

  #hold(token: string, chain: Chain, isLoose: boolean): void {
    this.#tokens.push({ token, chain, isLoose });
    if (this.#tokens.length > 4) this.#tokens.shift();
  }
}

function withoutKeys(token: string): string {
  const claims = decodeToken(token);
  if (claims === undefined) return token;
  const positions = claims.positions.map(({ replid, offset, read }) => ({
    replid,
    offset,
    ...(read && { read }),
  }));
  return encodeToken({ ...claims, positions });
}

function saidAt(state: Point, { state: { past } }: Place): ReplicationInfo {
  const { parent, goesOn, forkedAt } = past;
  const ancestor = parent && goesOn ? { replid: parent.replid, divergesAt: forkedAt + 1 } : undefined;
  const { offset } = state;
  const { replid } = state.past;
  return { role: "replica", replid, offset, ancestor, backlogActive: true, linkUp: true, syncing: false };
}

function report(
  what: string,
  { commands, keys }: Draft,
  positions: readonly Position[],
  state: Point,
  writes: readonly Write[],
): string {
  const asked = commands.map((command) => command.join(" ")).join("; ");
  const needed = writes.map(
    ({ at, knownAt, keys: of }) => `${at.past.replid}:${at.offset} (known at ${knownAt?.offset}) of ${of}`,
  );
  return `The requirement ${what}: ${asked} (keys ${keys}) on a replica at ${state.past.replid}:${state.offset}, which needs
    ${needed.join("\n    ")}
    and has to cover ${JSON.stringify(positions)}`;
}

it(
  "requires for each read at least its own writes to those keys, and no more while a token can name them",
  () => {
    const counts: Counts = { replica: 0, primary: 0, exact: 0, lacking: 0 };
    for (let seed = firstSeed; seed < firstSeed + histories; seed++) {
      try {
        new World(seed, counts).live();
      } catch (error) {
        throw new Error(
          `MODEL_SEED=${seed} MODEL_HISTORIES=1: ${error instanceof Error ? error.message : error}`,
          {
            cause: error,
          },
        );
      }
    }
    for (const count of Object.values(counts)) expect(count).toBeGreaterThan(histories / 10);
  },
  60_000 + 10 * histories,
);

it("uses keys with different hashes", () => {
  const names = [
    ...["é", "other", "own/1"],
    ...Array.from({ length: 14 }, (_, i) => [`${i}`, `sess:${i}`, `sess:vip:${i}`]),
  ];
  const keys = names.flat().flatMap((name) => [name, `p:${name}`]);
  expect(new Set(keys.map(hashOf)).size).toBe(keys.length);
});

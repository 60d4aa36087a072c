/** Judges what requests have read, by the order in which the primary wrote. */
import type { KeyLog } from "./key-log.js";
import type { Deed, Part } from "./keyed-deeds.js";
import { scopeOfAll } from "./keyed-oracle.js";

/** A command of a request; times only say what came before what. */
export interface Event {
  readonly part: Part;
  readonly deed: Deed;
  readonly issuedAt: number;
  doneAt: number;
  values: readonly (string | null)[] | undefined;
}

/** A token that a request has given out. */
export interface Handed {
  readonly token: string;
  readonly of: Request;
  /** Whether all that came before counts for every key. */
  readonly isCausal: boolean;
}

export interface Request {
  readonly begunWith: readonly Handed[];
  readonly prefix: string;
  /** Whether what it reads counts for later requests. */
  readonly isMonotonic: boolean;
  readonly events: Event[];
}

/** How many writes a read has to see at least. */
interface Debt {
  readonly ofKeys: Map<string, number>;
  ofAll: number;
}

export interface Verdict {
  readonly faults: string[];
  reads: number;
  /** Those answered by a server that lacked writes which the same user had made before. */
  lacking: number;
  strong: number;
}

export class Judge {
  readonly #log: KeyLog;
  readonly #scopes: readonly string[];
  readonly #when: ReturnType<KeyLog["timelines"]>;
  /** By the time how many writes there were with the newest that had ended by then. */
  readonly #ended: number[] = [0];
  readonly #debts = new Map<Request, Debt>();
  readonly #verdict: Verdict = { faults: [], reads: 0, lacking: 0, strong: 0 };

  constructor(log: KeyLog, scopes: readonly string[], requests: readonly Request[]) {
    [this.#log, this.#scopes, this.#when] = [log, scopes, log.timelines()];
    const events = requests.flatMap((request) => request.events);
    for (const event of events)
      if (event.part.kind === "write") this.#ended[event.doneAt] = this.#indexOf(event);
    const last = events.reduce((latest, { doneAt }) => Math.max(latest, doneAt), 0);
    for (let at = 1; at <= last; at++)
      this.#ended[at] = Math.max(this.#ended[at] ?? 0, this.#ended[at - 1] ?? 0);
  }

  /** `requests` are in the order in which they were begun. */
  judge(requests: readonly Request[]): Verdict {
    for (const request of requests) this.#judgeRequest(request);
    return this.#verdict;
  }

  #judgeRequest(request: Request): void {
    const debt = this.#debtOf(request.begunWith);
    const states = new Map<Event, number>();
    for (const event of request.events.toSorted((one, other) => one.issuedAt - other.issuedAt)) {
      if (event.part.kind === "write") continue;
      const { keys } = event.part;
      const least = this.#least(event, request, debt, states);
      const when = this.#when.when(
        keys.map((key) => request.prefix + key),
        event.values ?? [],
      );
      this.#verdict.reads += 1;
      if (when === undefined || when.to < least) {
        this.#verdict.faults.push(
          `${event.deed.way} ${event.part.command.join(" ")} at level ${event.deed.level ?? "session"} read ${event.values}, which was there after ${when?.from} to ${when?.to} writes, not after ${least}`,
        );
        continue;
      }
      states.set(event, Math.max(when.from, least));
      if (event.deed.level === undefined && when.to < this.#latest(request, debt, event))
        this.#verdict.lacking += 1;
      if (event.deed.level === "strong") this.#verdict.strong += 1;
    }
    const after = { ofKeys: new Map(debt.ofKeys), ofAll: debt.ofAll };
    for (const event of request.events) if (isOwed(event)) this.#owe(after, event);
    if (request.isMonotonic)
      for (const [{ deed }, state] of states)
        if (deed.level !== "eventual") after.ofAll = Math.max(after.ofAll, state);
    this.#debts.set(request, after);
  }

  /** How many writes `event` has to see. */
  #least(event: Event, request: Request, debt: Debt, states: ReadonlyMap<Event, number>): number {
    const { deed, part, issuedAt } = event;
    if (deed.level === "eventual") return 0;
    const before = request.events.filter((one) => one.issuedAt < issuedAt && one.deed.level !== "eventual");
    const own = before.filter(isOwed);
    const isWhole = [...before, event].some((one) => this.#joins(one));
    const concerns = (one: Event): boolean => isWhole || this.#scopeOf(one) === this.#scopeOf(event);
    let least = newestFor(debt, part.touched);
    for (const one of own)
      if (concerns(one) || sharesKeys(one.part, part)) least = Math.max(least, this.#indexOf(one));
    for (const one of before)
      if (one.part.kind === "read" && one.doneAt < issuedAt && concerns(one))
        least = Math.max(least, states.get(one) ?? 0);
    return deed.level === "strong" ? Math.max(least, this.#ended[issuedAt] ?? 0) : least;
  }

  #joins({ part, deed }: Event): boolean {
    if (deed.isUntracked) return false;
    return part.touched === undefined || scopeOfAll(part.touched, this.#scopes) === "several";
  }

  #scopeOf({ part }: Event): string | undefined {
    const scope = scopeOfAll(part.keys, this.#scopes);
    return typeof scope === "object" ? scope.scope : undefined;
  }

  /** The writes that tokens stand for. */
  #debtOf(begunWith: readonly Handed[]): Debt {
    const together: Debt = { ofKeys: new Map(), ofAll: 0 };
    for (const { of, isCausal } of begunWith) {
      const debt = this.#debts.get(of);
      if (debt === undefined) throw new Error("a request began before the one whose token it had was judged");
      together.ofAll = Math.max(together.ofAll, isCausal ? newestFor(debt, undefined) : debt.ofAll);
      for (const [key, index] of isCausal ? [] : debt.ofKeys)
        together.ofKeys.set(key, Math.max(index, together.ofKeys.get(key) ?? 0));
    }
    return together;
  }

  #owe(debt: Debt, event: Event): void {
    const index = this.#indexOf(event);
    if (event.part.touched === undefined) debt.ofAll = Math.max(debt.ofAll, index);
    for (const key of event.part.touched ?? [])
      debt.ofKeys.set(key, Math.max(index, debt.ofKeys.get(key) ?? 0));
  }

  /** The newest write that the user had made. */
  #latest(request: Request, debt: Debt, { issuedAt }: Event): number {
    const own = request.events.filter((one) => isOwed(one) && one.doneAt < issuedAt);
    return Math.max(newestFor(debt, undefined), ...own.map((one) => this.#indexOf(one)));
  }

  #indexOf({ part }: Event): number {
    return this.#log.indexOf(part.name ?? "");
  }
}

function isOwed({ part, deed }: Event): boolean {
  return part.kind === "write" && deed.isUntracked !== true;
}

function sharesKeys(write: Part, read: Part): boolean {
  const { touched } = write;
  if (touched === undefined || read.touched === undefined) return true;
  return touched.some((key) => read.keys.includes(key));
}

function newestFor({ ofKeys, ofAll }: Debt, keys: readonly string[] | undefined): number {
  const newest = (keys ?? [...ofKeys.keys()]).map((key) => ofKeys.get(key) ?? 0);
  return Math.max(ofAll, ...newest);
}

/** Notes what happens to one Tidemark, for people to read. */
import {
  lateWriteChannel,
  lostWriteChannel,
  type MessageChannel,
  staleReadChannel,
  type TopologyMessage,
  topologyChannel,
} from "../../diagnostics/channels.js";
import type { Mark } from "./feed-messages.js";

type RepeatedKind = "lost-write" | "late-write" | "stale-read";

/** What to do about a kind of event of which there may be many in a second. */
const adviceOn: Readonly<Record<RepeatedKind, string>> = {
  "lost-write":
    "The old primary had acknowledged these writes, and no server has them now. See “Lost writes” in docs/topologies.md.",
  "late-write":
    "Await each write before you send the response. A process warning has named the route. See docs/late-writes.md.",
  "stale-read": "These answers may lack writes. `staleIfPrimaryGone` allows them while the primary is gone.",
};

/** The detail of these warnings is an error of the app, which may contain anything. */
const hasForeignDetail: ReadonlySet<unknown> = new Set([
  "TIDEMARK_CARRIER_FAILED",
  "TIDEMARK_DASHBOARD_ALLOW",
  "TIDEMARK_SERVER_TIMING",
]);

/** In these states a server is not in use because it has just started, or because the options say so. */
const expectedStates: ReadonlySet<TopologyMessage["state"]> = new Set(["starting", "excluded", "unproven"]);

/** The events of one kind since the last mark. */
class Repeated {
  count = 0;
  /** The text for the latest event, by the number of events. */
  text: (count: number) => string = String;
}

/** A source of marks. */
interface Subscription {
  readonly open: () => void;
  readonly close: () => void;
}

/** Listens between {@link open} and {@link close}. Calls `add` with each mark. */
export class Marks {
  readonly #tidemark: object;
  readonly #add: (mark: Mark) => void;
  readonly #repeated = new Map<RepeatedKind, Repeated>();
  readonly #subscriptions: readonly Subscription[];

  constructor(tidemark: object, add: (mark: Mark) => void) {
    this.#tidemark = tidemark;
    this.#add = add;
    const hearWarning = (warning: Error): void => this.#hearWarning(warning);
    this.#subscriptions = [
      this.#to(topologyChannel, (message) => add(topologyMark(message))),
      this.#to(lostWriteChannel, ({ primary }) =>
        this.#count(
          "lost-write",
          (count) => `A failover lost writes of ${times(count, "session")}: ${primary} lacks them.`,
        ),
      ),
      this.#to(lateWriteChannel, () =>
        this.#count(
          "late-write",
          (count) => `${times(count, "write")} began after the response had been sent.`,
        ),
      ),
      this.#to(staleReadChannel, ({ node }) =>
        this.#count(
          "stale-read",
          (count) => `The primary is gone: ${node} answered ${times(count, "read")} without proof.`,
        ),
      ),
      {
        open: () => process.on("warning", hearWarning),
        close: () => process.off("warning", hearWarning),
      },
    ];
  }

  open(): void {
    for (const { open } of this.#subscriptions) open();
  }

  close(): void {
    for (const { close } of this.#subscriptions) close();
    this.#repeated.clear();
  }

  /** Adds one mark for each kind of the events that may be many. Called once a second. */
  addRepeated(): void {
    for (const [kind, { count, text }] of this.#repeated)
      this.#add({ at: Date.now(), kind, text: text(count), advice: adviceOn[kind] });
    this.#repeated.clear();
  }

  #to<Message extends { readonly tidemark: object }>(
    channel: MessageChannel<Message>,
    hear: (message: Message) => void,
  ): Subscription {
    const listener = (message: Message): void => {
      if (message.tidemark === this.#tidemark) hear(message);
    };
    return { open: () => channel.subscribe(listener), close: () => channel.unsubscribe(listener) };
  }

  #count(kind: RepeatedKind, text: Repeated["text"]): void {
    const repeated = this.#repeated.get(kind) ?? new Repeated();
    this.#repeated.set(kind, repeated);
    repeated.count += 1;
    repeated.text = text;
  }

  #hearWarning(warning: Error & { code?: unknown; detail?: unknown }): void {
    if (warning.name !== "TidemarkWarning") return;
    const { message: text, code, detail } = warning;
    const advice = typeof detail === "string" && !hasForeignDetail.has(code) ? detail : undefined;
    this.#add({ at: Date.now(), kind: "warning", text, advice });
  }
}

function topologyMark({ change, node, role, state, eligible, reason, cause }: TopologyMessage): Mark {
  const at = Date.now();
  if (change === "role") {
    const why = cause === undefined ? "" : ` ${asSentence(cause)}`;
    const now = role === "primary" ? "the primary" : "a replica";
    return { at, kind: "failover", text: `${node} is ${now} now.${why}` };
  }
  const isLoss = change === "left" || (change === "state" && !eligible && !expectedStates.has(state));
  const text = changeText({ change, node, role, eligible, reason });
  return isLoss ? { at, kind: "topology", text, isLoss } : { at, kind: "topology", text };
}

type Change = Pick<TopologyMessage, "change" | "node" | "role" | "eligible" | "reason">;

function changeText({ change, node, role, eligible, reason }: Change): string {
  if (change === "joined") return `${node} joined as ${role === "primary" ? "the primary" : "a replica"}.`;
  if (change === "left") return `${node} left.`;
  const why = reason === undefined ? "." : `: ${reason.replace(/\.$/, "")}.`;
  if (role === "primary")
    return eligible ? `The primary ${node} is available.` : `The primary ${node} is not available${why}`;
  return eligible ? `Replica ${node} may answer reads.` : `Replica ${node} answers no reads${why}`;
}

function asSentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function times(count: number, what: string): string {
  return count === 1 ? `1 ${what}` : `${count} ${what}s`;
}

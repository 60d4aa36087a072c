/** Shows in the `Server-Timing` header of a response which servers answered its reads, and what the response waited for. */
import { type ReadMessage, readChannel } from "../diagnostics/channels.js";
import { InvalidOptionError } from "../errors/errors.js";
import type { CarrierResponse } from "./carriers/carrier.js";

/** What the header shows: nothing, the roles of the servers, or also their addresses. */
export type ServerTimingDetail = boolean | "nodes";

/** The detail for every request, or a function that returns it for a request whose response is about to be sent. */
export type ServerTimingChoice<Request> = ServerTimingDetail | ((request: Request) => ServerTimingDetail);

/** Throws an `InvalidOptionError` for an invalid choice. Undefined if no response gets the header. */
export function checkServerTiming<Request>(
  choice: ServerTimingChoice<Request> | undefined,
): ServerTimingChoice<Request> | undefined {
  if (choice === undefined || choice === false) return undefined;
  if (choice === true || choice === "nodes" || typeof choice === "function") return choice;
  throw new InvalidOptionError(
    "serverTiming",
    choice,
    'Pass true, "nodes", or a function that returns one of these',
  );
}

const header = "Server-Timing";

/** The requests that get a header, by their sessions. */
const timings = new WeakMap<object, RequestTiming>();
let isListening = false;

function listen(): void {
  if (isListening) return;
  isListening = true;
  readChannel.subscribe((message) => timings.get(message.session)?.add(message));
}

/** The reads at servers of one role. */
class RoleReads {
  readonly byNode = new Map<string, number>();
  readonly reasons = new Set<string>();
  count = 0;

  add(node: string, reason: string): void {
    this.count += 1;
    this.reasons.add(reason);
    this.byNode.set(node, (this.byNode.get(node) ?? 0) + 1);
  }
}

/** What one request has read, and what it has waited for. */
export class RequestTiming {
  /** For how long the headers waited for writes, in milliseconds. */
  heldMs = 0;
  readonly #replica = new RoleReads();
  readonly #primary = new RoleReads();
  #rejected = 0;
  #waitedMs = 0;

  /** Collects the reads of `session` from now on. */
  static of(session: object): RequestTiming {
    listen();
    const timing = new RequestTiming();
    timings.set(session, timing);
    return timing;
  }

  add({ node, role, reason, waitedMs }: ReadMessage): void {
    this.#waitedMs = Math.max(this.#waitedMs, waitedMs);
    if (node === undefined || reason === undefined) this.#rejected += 1;
    else (role === "replica" ? this.#replica : this.#primary).add(node, reason);
  }

  /** Adds the metrics to the header of `response`, after those that the app has set. */
  write(response: CarrierResponse, detail: ServerTimingDetail): void {
    if (detail !== true && detail !== "nodes") return;
    const metrics = this.#metrics(detail === "nodes");
    if (metrics.length === 0) return;
    const own = response.getHeader(header);
    response.setHeader(header, [...(own === undefined ? [] : [own].flat()), ...metrics].join(", "));
  }

  #metrics(showsNodes: boolean): string[] {
    const metrics: string[] = [];
    const described = (name: string, text: string): number => metrics.push(`${name};desc=${quoted(text)}`);
    const timed = (name: string, text: string, ms: number): number =>
      metrics.push(`${name};desc=${quoted(text)};dur=${ms.toFixed(1)}`);
    const nodesOf = ({ byNode }: RoleReads): string =>
      [...byNode].map(([node, count]) => `${count} from ${node}`).join(", ");
    const replica = this.#replica;
    if (replica.count > 0)
      described("tm-replica", showsNodes ? nodesOf(replica) : `${readsOf(replica.count)} from replicas`);
    const primary = this.#primary;
    if (primary.count > 0) {
      const from = showsNodes ? nodesOf(primary) : `${readsOf(primary.count)} from the primary`;
      described("tm-primary", `${from}: ${[...primary.reasons].join(", ")}`);
    }
    if (this.#rejected > 0) described("tm-rejected", `${readsOf(this.#rejected)} rejected`);
    if (this.#waitedMs > 0) timed("tm-wait", "longest wait of a read", this.#waitedMs);
    if (this.heldMs > 0) timed("tm-hold", "headers waited for writes", this.heldMs);
    return metrics;
  }
}

function readsOf(count: number): string {
  return count === 1 ? "1 read" : `${count} reads`;
}

/** A quoted string of HTTP. The path of a socket may have characters that Node refuses in a header. */
function quoted(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/g, "?").replace(/["\\]/g, "\\$&")}"`;
}

/** What operators have to be told, in the process's own warnings. */
import type { ProofKind } from "./proof.js";

const asPrimaryOnly = "While its position cannot be told, it is read from only as a primary.";

/** What stands for positions that an ACL forbids to ask for, and what it promises. */
const substitutes: Readonly<Record<Exclude<ProofKind, "proxy">, string>> = {
  position: asPrimaryOnly,
  marker:
    "A marker key behind each write stands for its position: own writes are found as ever, but lost writes are not told " +
    "of, and promotions are followed only with Sentinels.",
  window:
    "Nothing proves what it has. As a replica it answers only sessions that have written nothing for tokenTtlMs, and " +
    "own writes are found only while it lags by less than that.",
  none: `${asPrimaryOnly} The option unproven: "window" would let it answer sessions that have written nothing for tokenTtlMs.`,
};

const seeProxies = "See Proxies in docs/topologies.md.";

/** What a proxy is used for. */
const usesOfProxies = {
  primary:
    'Tidemark uses it as the primary: all writes go there, and all reads but those at level "eventual". No write has a ' +
    "position, so replicas are not discovered, lost writes and promotions go unnoticed, and replicated() is always " +
    'rejected. Servers that you name in `replicas` answer only reads at level "eventual", and nothing limits the age of ' +
    `their data. To read from replicas at other levels, connect to the Redis servers themselves. ${seeProxies}`,
  replica:
    'It answers only reads at level "eventual", and only if the primary is such a proxy as well. Nothing limits the age ' +
    `of its data. To read from replicas at other levels, connect to the Redis servers themselves. ${seeProxies}`,
};

/** What is no fault of the server's, and passes. */
const passing = /^(LOADING|BUSY|MASTERDOWN|marker)/;

/** A server, as far as warnings name it. */
interface Reached {
  readonly address: string;
  /** Whether it is the primary. */
  readonly patient: boolean;
}

/** Says of one server that its position cannot be told, since reads silently cost more then, and what mends it. */
export class Warning {
  /** Whether it was said, which it is once. */
  isSaid = false;

  /** Says that the server of `connection` has this fault, and what proves how far it is in spite of it. */
  say({ address, patient }: Reached, fault: string, kind: ProofKind | undefined): void {
    if (this.isSaid || passing.test(fault)) return;
    this.isSaid = true;
    if (kind === "proxy") {
      process.emitWarning(`Redis at ${address}: ${fault}, as proxies that spread commands over servers do.`, {
        type: "TidemarkWarning",
        code: "TIDEMARK_PROXY",
        detail: usesOfProxies[patient ? "primary" : "replica"],
      });
      return;
    }
    const isForbidden = fault.startsWith("NOPERM");
    const what = isForbidden ? `${fault}; allow it by the ACL rule +info` : fault;
    process.emitWarning(`Redis at ${address}: ${what}.`, {
      type: "TidemarkWarning",
      code: "TIDEMARK_POSITION_UNKNOWN",
      detail: isForbidden && kind !== undefined ? substitutes[kind] : asPrimaryOnly,
    });
  }
}

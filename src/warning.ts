/** What operators have to be told, in the process's own warnings. */
import type { ProofKind } from "./proof.js";

const asPrimaryOnly = "While its position cannot be told, it is read from only as a primary.";

/** What stands for positions that an ACL forbids to ask for, and what it promises. */
const substitutes: Readonly<Record<ProofKind, string>> = {
  position: asPrimaryOnly,
  marker:
    "A marker key behind each write stands for its position: own writes are found as ever, but lost writes are not told " +
    "of, and promotions are followed only with Sentinels.",
  window:
    "Nothing proves what it has. As a replica it answers only sessions that have written nothing for tokenTtlMs, and " +
    "own writes are found only while it lags by less than that.",
  none: `${asPrimaryOnly} The option unproven: "window" would let it answer sessions that have written nothing for tokenTtlMs.`,
};

/** What is no fault of the server's, and passes. */
const passing = /^(LOADING|BUSY|MASTERDOWN|marker)/;

/** Says of one server that its position cannot be told, since reads silently cost more then, and what mends it. */
export class Warning {
  /** Whether it was said, which it is once. */
  isSaid = false;

  /** Says that `address` has this fault, and what proves how far it is in spite of it. */
  say(address: string, fault: string, kind: ProofKind | undefined): void {
    if (this.isSaid || passing.test(fault)) return;
    this.isSaid = true;
    const isForbidden = fault.startsWith("NOPERM");
    const what = isForbidden ? `${fault}; allow it by the ACL rule +info` : fault;
    process.emitWarning(`Redis at ${address}: ${what}.`, {
      type: "TidemarkWarning",
      code: "TIDEMARK_POSITION_UNKNOWN",
      detail: isForbidden && kind !== undefined ? substitutes[kind] : asPrimaryOnly,
    });
  }
}

/**
 * Proposes once to put a prefix into `scopes` or `untracked`. The reason for a proposal: more than half of the reads that writes
 * keep on the primary are reads of other keys, kept there by writes to keys with this prefix.
 */
import type { KeyPrefixes } from "./key-prefix.js";

/** If writes keep fewer reads on the primary than this, a change is not worthwhile. */
const minReads = 1_000;

export class ScopeProposal {
  readonly #prefixes: KeyPrefixes;
  #isMade = false;

  constructor(prefixes: KeyPrefixes) {
    this.#prefixes = prefixes;
  }

  /**
   * Makes the proposal for `prefix` if it is worthwhile. Writes to keys of `prefix` have kept `others` reads of other keys on the
   * primary. All writes together have kept `total` reads there.
   */
  consider(prefix: string | undefined, others: number, total: number): void {
    if (others < minReads || others * 2 <= total || this.#isMade) return;
    // No scope can free reads from writes of unknown keys, or from commands on keys of several scopes.
    if (prefix === undefined || this.#prefixes.scopes.includes(prefix)) return;
    this.#isMade = true;
    const { scopes, untracked = "return true for them in your function `untracked`" } =
      this.#prefixes.optionsWith(prefix);
    process.emitWarning(
      `Writes to keys that begin with "${prefix}" sent ${others} reads of other keys to the primary, because these ` +
        "keys are in no scope.",
      {
        type: "TidemarkWarning",
        code: "TIDEMARK_PROPOSED_SCOPE",
        detail:
          "If values of these keys never refer to other data, as in a session store or a rate limiter, give them a scope of " +
          `their own: ${scopes}. Replicas can then answer the other reads. If no later read has to see these writes, as with ` +
          `counters, logs and rate limiters that count by scripts, leave them untracked: ${untracked}. Otherwise change ` +
          'nothing. See "Scopes" and "Untracked writes" in docs/guarantees.md.',
      },
    );
  }
}

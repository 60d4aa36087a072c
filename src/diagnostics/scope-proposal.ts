/** Proposes a scope or no tracking, once, if writes to keys of one prefix send most reads of other keys to the primary. */
import type { KeyPrefixes } from "./key-prefix.js";

/** How many reads it takes. With fewer, a change is not worthwhile. */
const minReads = 1_000;

export class ScopeProposal {
  readonly #prefixes: KeyPrefixes;
  #isMade = false;

  constructor(prefixes: KeyPrefixes) {
    this.#prefixes = prefixes;
  }

  /**
   * Considers a count: writes of `prefix` kept `others` reads of other keys on the primary. All writes kept `total` reads there.
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

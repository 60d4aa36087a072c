/** Proposes a scope, once, when the writes to keys of one prefix send most reads of other keys to the primary. */

/** How many reads it takes: fewer are not worth a change. */
const minReads = 1_000;

export class ScopeProposal {
  /** The scopes there are, as the option takes them. */
  readonly #scopes: readonly string[];
  #isMade = false;

  constructor(scopes: readonly string[]) {
    this.#scopes = scopes;
  }

  /** Takes in that writes of `prefix` have kept `others` reads of other keys on the primary, of `total` that writes kept there. */
  consider(prefix: string | undefined, others: number, total: number): void {
    if (others < minReads || others * 2 <= total || this.#isMade) return;
    // No scope frees reads from writes of unknown keys, nor from commands on keys of several scopes.
    if (prefix === undefined || this.#scopes.includes(prefix)) return;
    this.#isMade = true;
    const scopes = [...this.#scopes, prefix].map((scope) => JSON.stringify(scope)).join(", ");
    process.emitWarning(
      `Writes to keys that begin with "${prefix}" sent ${others} reads of other keys to the primary, because each request ` +
        "keeps one order among all keys that are in no scope.",
      {
        type: "TidemarkWarning",
        code: "TIDEMARK_PROPOSED_SCOPE",
        detail:
          "If values of these keys never refer to other data, as those of a session store or a rate limiter, give them a " +
          `scope of their own: scopes: [${scopes}]. Replicas can then answer the other reads. If no later read has to see ` +
          "these writes, as those of counters and logs, leave them untracked instead. Otherwise change nothing. See " +
          '"Scopes" and "Untracked writes" in docs/guarantees.md.',
      },
    );
  }
}

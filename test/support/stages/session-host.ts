/** Hosts sessions without any Redis, with the default options of a Tidemark. */

import { type KeyFinder, RuledKeys } from "../../../src/commands/touched-keys.js";
import { ReadPolicyCache, type ResolvedReadPolicy } from "../../../src/consistency/read-policy.js";
import { Counts } from "../../../src/diagnostics/counts.js";
import { ScopeProposal } from "../../../src/diagnostics/scope-proposal.js";
import { Statistics } from "../../../src/diagnostics/statistics.js";
import { checkKeyOptions } from "../../../src/options/key-options.js";
import { checkReadDefaults } from "../../../src/options/read-options.js";
import { Rollout } from "../../../src/rollout/rollout.js";
import type { Session, SessionClient, SessionHost } from "../../../src/session/session.js";

const usual = checkKeyOptions({}, "");
const usualPolicies = new ReadPolicyCache(checkReadDefaults({}));

export class HostWithoutServers implements SessionHost {
  readonly ttlMs = 60_000;
  readonly monotonicReads = false;
  readonly keys: KeyFinder;
  readonly maxKeys: number;
  readonly recordReads = 0;
  readonly sampler = { isObserving: false, samples: (): boolean => false, left: (): void => {} };
  readonly rollout = new Rollout(this, "live", 1);
  readonly statistics = new Statistics(
    new Counts({}),
    usual.keyPrefixes,
    new ScopeProposal(usual.keyPrefixes),
  );

  constructor(keys: KeyFinder = new RuledKeys(usual.keyRules), maxKeys = usual.keysPerToken) {
    this.keys = keys;
    this.maxKeys = maxKeys;
  }

  policyOf(...level: Parameters<ReadPolicyCache["of"]>): ResolvedReadPolicy {
    return usualPolicies.of(...level);
  }

  clientFor(_session: Session): SessionClient {
    throw new Error("there is no server that a client could send commands to");
  }

  anchor(): undefined {}

  replicate(): Promise<number> {
    return Promise.reject(new Error("there is no replica"));
  }
}

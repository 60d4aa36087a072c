/** The meaning of levels with default options. */

import { ReadPolicyCache } from "../../../src/consistency/read-policy.js";
import { checkReadDefaults } from "../../../src/options/read-options.js";

const usual = new ReadPolicyCache(checkReadDefaults({}));

/** For sessions that are made by hand. */
export const policyOf: ReadPolicyCache["of"] = (level) => usual.of(level);

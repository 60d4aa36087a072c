/** What levels mean where no option says otherwise. */

import { TermsTable } from "../../src/consistency/read-policy.js";
import { checkReadDefaults } from "../../src/options/read-options.js";

const usual = new TermsTable(checkReadDefaults({}));

/** For sessions that are made by hand. */
export const terms: TermsTable["of"] = (level) => usual.of(level);

/** What levels mean where no option says otherwise. */
import { checkReadDefaults } from "../../src/read-defaults.js";
import { TermsTable } from "../../src/terms.js";

const usual = new TermsTable(checkReadDefaults({}));

/** For sessions that are made by hand. */
export const terms: TermsTable["of"] = (level) => usual.of(level);

/** What a whole run of the bench has given, and where it was run. */
import type { Section } from "./section.js";

export interface Results {
  readonly date: string;
  readonly machine: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly sections: Readonly<Record<string, Section>>;
}

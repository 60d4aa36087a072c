/** A browser for the tests of a file. */
import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, describe } from "vitest";
import { findChromium, startChromium } from "./chromium.js";
import { PageVisit, type Visitor } from "./page-visit.js";

const program = await findChromium();
if (program === undefined)
  process.stderr.write("no Chromium here: tests of pages in a browser are skipped\n");

export interface StagedBrowser {
  open(url: string, visitor?: Visitor): Promise<PageVisit>;
}

/** Describes tests that need a browser. They are skipped where there is none. */
export function describeInBrowser(name: string, tests: (browser: StagedBrowser) => void): void {
  describe.skipIf(program === undefined)(name, () => {
    let browser: Browser;

    beforeAll(async () => {
      if (program !== undefined) browser = await startChromium(program);
    });

    afterAll(() => browser?.close());

    tests({ open: (url, visitor) => PageVisit.open(browser, url, visitor) });
  });
}

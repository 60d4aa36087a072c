/** The module with the page is what its sources give, and the page knows every reason. */
import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { moduleFile, pageModule } from "../../page/build.js";
import { reasonTexts } from "../../page/reasons.js";
import type { Reason } from "../../src/diagnostics/channels.js";
import { page } from "../../src/http/dashboard/page.js";

/** The compiler refuses this list if it lacks a reason. */
const reasonsOfReads: Readonly<Record<Exclude<Reason, "not-a-read">, true>> = {
  ...{ known: true, checked: true, "primary-gone": true, unproven: true },
  ...{
    strong: true,
    "not-live": true,
    "no-session": true,
    "write-in-flight": true,
    "position-unknown": true,
  },
  ...{ "missing-key": true, asked: true, "no-replica": true, starting: true, unusable: true },
  ...{ behind: true, "read-ahead": true, "check-failed": true, "replica-failed": true },
};

it("is committed as the sources in page/ give it: npm run build:page writes it", async () => {
  expect(await readFile(moduleFile, "utf8")).toBe(await pageModule());
});

it("is smaller than 48 KB, with one style, one script and nothing that the policy of the server forbids", () => {
  expect(Buffer.byteLength(page)).toBeLessThan(48 * 1_024);
  expect(page.match(/<style[ >]/g)).toHaveLength(1);
  expect(page.match(/<script[ >]/g)).toHaveLength(1);
  expect(page).not.toMatch(
    /<[^>]* (style|on\w+)=|\bimport\b|\beval\(|innerHTML|https?:\/\/(?!www\.w3\.org\/2000\/svg)/,
  );
});

it("explains each reason of a read, by a colour and a pattern of its own", () => {
  expect(reasonTexts.map(({ reason }) => reason).sort()).toEqual(Object.keys(reasonsOfReads).sort());
  const looks = reasonTexts.map(({ family, pattern }) => `${family} ${pattern}`);
  expect(new Set(looks).size).toBe(looks.length);
});

it("moves nothing by itself, so that nobody has to ask for less motion", () => {
  expect(page).not.toMatch(/animat|transition|@keyframes|smooth/);
});

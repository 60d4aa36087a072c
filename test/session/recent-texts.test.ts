/** What is remembered of texts that come again. */
import { expect, it } from "vitest";
import { RecentTexts } from "../../src/session/recent-texts.js";

function named(name: string): { readonly name: string } {
  return { name };
}

it("returns what a text was decoded to, and undefined for any other text", () => {
  const recent = new RecentTexts<{ readonly name: string }>();
  const value = named("one");
  recent.add("text", value);
  expect(recent.get("text")).toBe(value);
  expect(recent.get("texts")).toBeUndefined();
});

it("remembers the latest 256 texts, and none that 512 others have followed", () => {
  const recent = new RecentTexts<{ readonly name: string }>();
  for (let i = 0; i < 1_000; i++) recent.add(String(i), named(String(i)));
  for (let i = 744; i < 1_000; i++) expect(recent.get(String(i))).toEqual(named(String(i)));
  for (let i = 0; i < 488; i++) expect(recent.get(String(i))).toBeUndefined();
});

it("keeps a text for as long as it is used", () => {
  const recent = new RecentTexts<{ readonly name: string }>();
  recent.add("used", named("used"));
  for (let i = 0; i < 2_000; i++) {
    recent.add(String(i), named(String(i)));
    expect(recent.get("used")).toEqual(named("used"));
  }
});

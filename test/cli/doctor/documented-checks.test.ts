/** The page about the doctor lists every check, as the code has it. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { checks } from "../../../src/cli/doctor/checks.js";

it("docs/doctor.md lists the checks with their groups and titles", () => {
  const page = readFileSync(new URL("../../../docs/doctor.md", import.meta.url), "utf8");
  const [, section = ""] = page.split("\n## The checks\n");
  const rows = [
    ...section.matchAll(/^\| `([a-z-]+)` \| ([^|]+) \| ([^|]+) \| [^|]*(?:PASS|WARN|FAIL|SKIP)[^|]* \|$/gm),
  ];
  const documented = rows.map(([, id, group, title]) => [id, group, title].join(" | "));
  expect(documented.sort()).toEqual(
    checks.map(({ id, group, title }) => [id, group, title].join(" | ")).sort(),
  );
});

it("no two checks have the same name", () => {
  const ids = checks.map(({ id }) => id);
  expect(ids).toEqual([...new Set(ids)]);
});

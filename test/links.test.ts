/** Links between the pages of the repository, and references to pages in code, have a target. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, it } from "vitest";
import { root } from "./support/sources/built-package.js";

const below = (folder: string, ending: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending) && !name.includes("node_modules"))
    .map((name) => join(root, folder, name));

const pages = [
  ...["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map((name) => join(root, name)),
  ...below("docs", ".md"),
  ...below("examples", ".md"),
];

/** The text of a page without its pieces of code. */
function textOf(page: string): string {
  return readFileSync(page, "utf8").replaceAll(/^```.*?^```/gms, "");
}

function headingsOf(page: string): string[] {
  return [...textOf(page).matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => heading);
}

/** The anchor that GitHub gives a heading. */
function anchorOf(heading: string): string {
  const letters = heading.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "");
  return letters.replaceAll(" ", "-");
}

describe("Links in the pages of the repository", () => {
  it("point to existing files and headings", () => {
    const broken = pages.flatMap((page) =>
      [...textOf(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)]
        .filter(([, path = "", anchor]) => {
          const target = path === "" ? page : join(dirname(page), path).replace(/\/$/, "");
          if (!pages.includes(target)) return anchor !== undefined || !existsSync(target);
          return anchor !== undefined && !headingsOf(target).map(anchorOf).includes(anchor);
        })
        .map(([link]) => `${relative(root, page)}: ${link}`),
    );
    expect(broken).toEqual([]);
  });
});

describe("References to pages in the code", () => {
  const code = ["src", "test", "bench", "examples"].flatMap((folder) => below(folder, ".ts"));

  it("name existing pages", () => {
    const gone = code.flatMap((file) =>
      [...readFileSync(file, "utf8").matchAll(/docs\/[\w-]+\.(?:md|svg)/g)]
        .filter(([page]) => !existsSync(join(root, page)))
        .map(([page]) => `${relative(root, file)} names ${page}`),
    );
    expect(gone).toEqual([]);
  });

  it("name existing headings", () => {
    const gone = code.flatMap((file) =>
      [
        ...readFileSync(file, "utf8").matchAll(
          /See ((?:"[^"]+"|[A-Z]\w+)(?: and "[^"]+")*) in (docs\/[\w-]+\.md)/g,
        ),
      ]
        .flatMap(([, names = "", page = ""]) =>
          [...names.matchAll(/"([^"]+)"|^(\w+)$/g)].map(([, quoted, word]) => ({
            page,
            heading: quoted ?? word ?? "",
          })),
        )
        .filter(({ page, heading }) => !headingsOf(join(root, page)).includes(heading))
        .map(({ page, heading }) => `${relative(root, file)} names "${heading}" in ${page}`),
    );
    expect(gone).toEqual([]);
  });
});

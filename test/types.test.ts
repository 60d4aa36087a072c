/** The types of Tidemark's clients and of the ioredis of this project, as this repository's compiler sees them. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, it } from "vitest";

/** The compiler reads all of ioredis, which takes long where much else runs. */
const timeout = 120_000;

const root = fileURLToPath(new URL("..", import.meta.url));
const surface = join(root, "test/types/ioredis-surface.ts");

/** Lines that are made wrong, and what the compiler must say of each. */
const broken: readonly (readonly [what: string, from: string, to: string, says: RegExp])[] = [
  [
    "a wrong line that nothing expects",
    "  // @ts-expect-error a level is needed\n  redis.at();",
    "  \n  redis.at();",
    /Expected 1-2 arguments/,
  ],
  ["a right line that is expected to be wrong", 'redis.at("x");', 'redis.at("strong");', /Unused/],
  ["a client that is none", "takesCommander(client);", "takesCommander(session);", /'Session'/],
  [
    "a reply of another type",
    `is<number>()(await redis.del("a", "b"))`,
    `is<string>()(await redis.del("a", "b"))`,
    /Expected 2/,
  ],
  ["a reply of any type", 'await redis.mget(["a", "b"])', "JSON.parse('')", /Expected 2/],
];

const settings = ts.parseJsonConfigFileContent(
  ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile).config,
  ts.sys,
  root,
).options;

const text = readFileSync(surface, "utf8");

/** The folder of the ioredis that the tests of this project load. */
const ioredis = process.env.IOREDIS === "5" ? "ioredis5" : "ioredis";

/** The compiler's complaints about the file with the text `changed`. */
function complaints(changed: string): string[] {
  const options: ts.CompilerOptions = {
    ...settings,
    noEmit: true,
    declaration: false,
    paths: { ioredis: [join(root, "node_modules", ioredis, "built/index.d.ts")] },
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile } = host;
  host.getSourceFile = (name, version, ...rest) => {
    if (name === surface) return ts.createSourceFile(name, changed, version);
    return getSourceFile(name, version, ...rest);
  };
  const program = ts.createProgram([surface], options, host);
  const used = program.getSourceFiles().filter(({ fileName }) => fileName.endsWith("/built/Redis.d.ts"));
  expect(used.map(({ fileName }) => dirname(dirname(fileName)).split("/").at(-1))).toEqual([ioredis]);
  const checked = program.getSourceFile(surface);
  return [...program.getSyntacticDiagnostics(checked), ...program.getSemanticDiagnostics(checked)].map(
    ({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"),
  );
}

it("Tidemark's clients compile wherever ioredis's clients do, and the compiler reports every broken line", {
  timeout,
}, () => {
  const wrong = broken.reduce((changed, [what, from, to]) => {
    expect(changed.split(from), what).toHaveLength(2);
    return changed.replace(from, to);
  }, text);
  const found = complaints(wrong);
  for (const [what, , , says] of broken) expect(found, what).toContainEqual(expect.stringMatching(says));
  expect(found).toHaveLength(broken.length);
});

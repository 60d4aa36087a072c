/** The source tree keeps to its plan: the imports of each folder, and the exceptions from the type system. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { entry, forAll, layers } from "./support/sources/layers.js";
import { type Import, lineOf, nodesOf, readSources, type Source } from "./support/sources/source-tree.js";

/** Where a type is asserted, and why it has to be. */
const assertions: Readonly<Record<string, string>> = {
  'client/redis-client: own as RedisOptions & { replyMapping?: "legacy" }':
    "ioredis 6 types a client by its replyMapping",
  'client/primary-client: own as RedisOptions & { replyMapping?: "legacy" }':
    "ioredis 6 types a client by its replyMapping",
  'connection/proxy-detection: options as RedisOptions & { replyMapping?: "legacy" }':
    "ioredis 6 types a client by its replyMapping",
  'connection/connection: redis as RedisOptions & { replyMapping?: "legacy" }':
    "ioredis 6 types a client by its replyMapping",
  "diagnostics/channels: made as MessageChannel<Message>":
    "the types of Node give every channel messages of unknown type",
  "http/given-object: given as new (object: object) => object":
    "no type says that a constructor may return another object, and the linter allows no class that does so",
};

/** Redis's own names of an error, of two fields of INFO and of a role, and those of options of other libraries; no other word can stand for them. */
const namesOfRedis =
  /MASTERDOWN|\bmaster_replid\b|\bslave_repl_offset\b|role(:| !==) "master"|\bpreferredSlaves\b|"master", "slave", "slaves"/g;

const sources = readSources(fileURLToPath(new URL("../src", import.meta.url)));

/** `file:line: what`, for every node of which `what` says something. */
function findings(what: (node: ts.Node, source: Source) => string | undefined): string[] {
  return sources.flatMap((source) =>
    [...nodesOf(source.tree)].flatMap((node) => {
      const found = what(node, source);
      return found === undefined ? [] : [`${source.name}:${lineOf(source, node.getStart())}: ${found}`];
    }),
  );
}

/** `file:line: match`, for every match in a file, comments included. */
function matches(pattern: RegExp, text: (source: Source) => string = (source) => source.text): string[] {
  return sources.flatMap((source) =>
    [...text(source).matchAll(pattern)].map(
      (match) => `${source.name}:${lineOf(source, match.index)}: ${match[0]}`,
    ),
  );
}

/**
 * The folder of a file; the name of the file for one that lies in `src` itself. The checks of the doctor only have a folder of
 * their own because there are many of them.
 */
function folderOf(name: string): string {
  return name.includes("/") ? name.slice(0, name.lastIndexOf("/")).replace(/\/checks$/, "") : name;
}

/** The names that a file exports types, classes and interfaces by. */
function typesOf({ tree }: Source): string[] {
  return tree.statements
    .filter(
      (node) =>
        ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node) || ts.isClassDeclaration(node),
    )
    .filter((node) => node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword))
    .flatMap(({ name }) => name?.text ?? []);
}

/** The package whose types an entry for one framework may import. */
function frameworkOf(name: string): string {
  return name.replace(/^http\/frameworks\//, "package:");
}

function localImports(source: Source): Import[] {
  return source.imports.filter(({ of }) => !/^(node|package):/.test(of));
}

describe("The folders of src", () => {
  it("match the table", () => {
    const folders = new Set(sources.map(({ name }) => folderOf(name)).filter((one) => one !== ""));
    const files = sources.map(({ name }) => name).filter((name) => !name.includes("/"));
    expect([...folders].filter((folder) => !files.includes(folder)).sort()).toEqual(
      layers.map(({ folder }) => folder).sort(),
    );
    expect(files.sort()).toEqual(["address", "index", "instances", "tidemark"]);
  });

  it("import only the folders above them that the table lists, types included", () => {
    const above = new Set<string>([entry]);
    const allowed = new Map<string, ReadonlySet<string>>();
    for (const { folder, imports } of layers) {
      expect(imports.filter((one) => !above.has(one))).toEqual([]);
      allowed.set(folder, new Set([folder, ...imports, ...(folder === "errors" ? [] : forAll)]));
      above.add(folder);
    }
    const wrong = sources.flatMap((source) =>
      localImports(source)
        .filter(
          ({ of }) => !(allowed.get(folderOf(source.name))?.has(folderOf(of)) ?? source.name !== "address"),
        )
        .map(({ of }) => `${source.name} imports ${of}`),
    );
    expect(wrong).toEqual([]);
  });

  it("use in HTTP only Node, its own frameworks and the folders of the table", () => {
    const wrong = sources
      .filter(({ name }) => name.startsWith("http/"))
      .flatMap(({ name, imports }) =>
        imports
          .filter(({ of }) => of.startsWith("package:") && of !== frameworkOf(name))
          .map(({ of }) => `${name} imports ${of}`),
      );
    expect(wrong).toEqual([]);
  });

  it("have no two exported types with the same name", () => {
    const homes = new Map<string, string[]>();
    for (const source of sources)
      for (const type of typesOf(source)) homes.set(type, [...(homes.get(type) ?? []), source.name]);
    expect([...homes].filter(([, files]) => files.length > 1)).toEqual([]);
  });

  it("have no import cycles, types included", () => {
    const cycles: string[] = [];
    const done = new Set<string>();
    const visit = (name: string, path: readonly string[]) => {
      if (path.includes(name)) cycles.push([...path.slice(path.indexOf(name)), name].join(" > "));
      if (path.includes(name) || done.has(name)) return;
      const source = sources.find((one) => one.name === name);
      for (const { of } of source ? localImports(source) : []) visit(of, [...path, name]);
      done.add(name);
    };
    for (const { name } of sources) visit(name, []);
    expect(cycles).toEqual([]);
  });

  it("need only Node and ioredis at run time, node-redis for its own client, and some more for the program", () => {
    const packagesOf = (isMeant: (name: string) => boolean) => {
      const imports = sources.filter(({ name }) => isMeant(name)).flatMap((source) => source.imports);
      const needed = imports.filter(({ typeOnly }) => !typeOnly).map(({ of }) => of);
      return new Set(needed.filter((of) => of.startsWith("package:")));
    };
    const isProgram = (name: string) => name.startsWith("cli/");
    expect(packagesOf((name) => name !== "client/node-redis" && !isProgram(name))).toEqual(
      new Set(["package:ioredis"]),
    );
    expect(packagesOf((name) => name === "client/node-redis")).toEqual(
      new Set(["package:ioredis", "package:redis"]),
    );
    const { dependencies } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
    expect(Object.keys(dependencies).map((name) => `package:${name}`)).toEqual(
      expect.arrayContaining([...packagesOf(isProgram)].filter((name) => name !== "package:ioredis")),
    );
  });
});

describe("The files of src", () => {
  it("begin with a sentence about their purpose", () => {
    expect(sources.filter(({ text }) => !/^(#!.*\n)?\/\*\*\s/.test(text)).map(({ name }) => name)).toEqual(
      [],
    );
  });

  it("have the name of their one subject", () => {
    const vague = /\b(utils?|helpers?|manager|types|common|misc|shared|interfaces|index)\b/;
    const names = sources.map(({ name }) => name);
    expect(names.filter((name) => vague.test(name) && name !== "index")).toEqual([]);
    expect(names.filter((name) => !/^([a-z0-9-]+\/){0,3}[a-z0-9]+(-[a-z0-9]+)*$/.test(name))).toEqual([]);
  });

  it("say primary and replica, except where they read Redis's own terms", () => {
    const where = (source: Source) =>
      source.name === "replication/replication-info" || /^(topology|cli)\//.test(source.name)
        ? ""
        : source.text;
    const blanked = (source: Source) =>
      where(source).replaceAll(namesOfRedis, (name) => "-".repeat(name.length));
    expect(matches(/\w*(master|slave)\w*/gi, blanked)).toEqual([]);
  });

  it("contain no TODO and disable no tool", () => {
    expect(matches(/\b(TODO|FIXME|XXX|HACK)\b|@ts-\w+|biome-ignore|eslint-disable/g)).toEqual([]);
  });
});

describe("The code of src", () => {
  it("has no `any` and no `!`", () => {
    const loose = findings((node) => {
      if (node.kind === ts.SyntaxKind.AnyKeyword) return "any";
      if (ts.isNonNullExpression(node)) return node.getText();
      const definite =
        (ts.isPropertyDeclaration(node) || ts.isVariableDeclaration(node)) && node.exclamationToken;
      return definite ? node.getText() : undefined;
    });
    expect(loose).toEqual([]);
  });

  it("asserts a type only in the listed places, each with its reason", () => {
    const asserted = sources.flatMap(({ name, tree }) =>
      [...nodesOf(tree)]
        .filter((node) => ts.isAsExpression(node) || ts.isTypeAssertionExpression(node))
        .filter((node) => !ts.isConstTypeReference(node.type))
        .map((node) => `${name}: ${node.getText().replaceAll(/\s+/g, " ")}`),
    );
    expect(asserted.sort()).toEqual(Object.keys(assertions).sort());
  });
});

describe("The pages about the architecture", () => {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const page = readFileSync(`${root}docs/architecture.md`, "utf8");
  const rowsBelow = (heading: string): string[][] => {
    const [, section = ""] = page.split(`\n## ${heading}\n`);
    const [table = ""] = section.split("\n## ");
    const lines = table.split("\n").filter((line) => line.startsWith("| "));
    return lines.slice(2).map((line) => line.split(" | ").map((cell) => cell.replaceAll(/^\| | \|$/g, "")));
  };

  it("show the table of the folders", () => {
    const inCode = (folders: readonly string[]) =>
      folders.map((folder) => (folder === entry ? `\`${folder}.ts\`` : `\`${folder}/\``)).join(", ");
    expect(rowsBelow("The folders")).toEqual(
      layers.map(({ folder, holds, imports }) => [inCode([folder]), holds, inCode(imports) || "nothing"]),
    );
  });

  it("name a file for each of twelve changes and each term of the glossary", () => {
    const named = (cell = "") => /^`[\w/-]+\.ts`$/.test(cell);
    expect(rowsBelow("Where to change what").filter(([, file]) => named(file))).toHaveLength(12);
    expect(rowsBelow("Glossary").filter(([, , file]) => named(file))).toHaveLength(15);
  });

  it("name only existing files, like every page of docs", () => {
    const exists = (file: string) => existsSync(`${root}src/${file}`) || existsSync(`${root}${file}`);
    const pages = readdirSync(`${root}docs`).filter((name) => name.endsWith(".md"));
    const gone = pages.flatMap((name) =>
      [...readFileSync(`${root}docs/${name}`, "utf8").matchAll(/`([\w./-]+\.ts)`/g)]
        .filter(([, file = ""]) => !exists(file))
        .map(([, file]) => `docs/${name} names ${file}`),
    );
    expect(gone).toEqual([]);
  });
});

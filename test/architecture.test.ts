/** The source tree keeps to its plan: who may know whom, and which ways out of the types exist. */
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { rows } from "./support/rows.js";
import { type Import, lineOf, nodesOf, readSources, type Source } from "./support/source-tree.js";

/** Three sides of one idea, which know each other's types and nothing else of each other. */
const oneIdea = new Set(["position", "lineage", "replication"]);

/** All that the HTTP side knows of the Redis side. */
const knownToHttp = new Set([
  ...["errors", "option-names", "terms", "wanted", "channels", "keyring", "token", "position", "session"],
  "open-requests",
]);

/** Where a type is asserted, and why it has to be. */
const assertions: Readonly<Record<string, string>> = {
  'client: own as RedisOptions & { replyMapping?: "legacy" }': "ioredis 6 types a client by its replyMapping",
  'primary-client: own as RedisOptions & { replyMapping?: "legacy" }':
    "ioredis 6 types a client by its replyMapping",
  'examination: options as RedisOptions & { replyMapping?: "legacy" }':
    "ioredis 6 types a client by its replyMapping",
  'connection: redis as RedisOptions & { replyMapping?: "legacy" }':
    "ioredis 6 types a client by its replyMapping",
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

function placeOf(name: string): number {
  return rows.flat().indexOf(name);
}

/** What an entry for one framework may take types of. */
function frameworkOf(name: string): string {
  return name.replace(/^http\//, "package:");
}

function localImports(source: Source): Import[] {
  return source.imports.filter(({ of }) => !/^(node|package):/.test(of));
}

describe("The rows of src", () => {
  it("hold every file once, and nothing that is no file", () => {
    expect(rows.flat().sort()).toEqual(sources.map(({ name }) => name).sort());
  });

  it("are imported from only by rows below, and in a row only by files to the right", () => {
    const wrong = sources.flatMap((source) =>
      localImports(source)
        .filter(({ of, typeOnly }) => !(typeOnly && oneIdea.has(of) && oneIdea.has(source.name)))
        .filter(({ of }) => placeOf(of) >= placeOf(source.name) || placeOf(of) < 0)
        .map(({ of }) => `${source.name} imports ${of}`),
    );
    expect(wrong).toEqual([]);
  });

  it("keep HTTP and Redis apart, but for the session and what it is made of", () => {
    const wrong = sources.flatMap(({ name, imports }) =>
      imports
        .filter(({ of }) =>
          name.startsWith("http/")
            ? !(/^(http\/|node:)/.test(of) || of === frameworkOf(name) || knownToHttp.has(of))
            : of.startsWith("http/") || (of === "keyring" && name !== "index"),
        )
        .map(({ of }) => `${name} imports ${of}`),
    );
    expect(wrong).toEqual([]);
  });

  it("are free of cycles at run time", () => {
    const cycles: string[] = [];
    const done = new Set<string>();
    const visit = (name: string, path: readonly string[]) => {
      if (path.includes(name)) cycles.push([...path.slice(path.indexOf(name)), name].join(" > "));
      if (path.includes(name) || done.has(name)) return;
      const source = sources.find((one) => one.name === name);
      for (const { of, typeOnly } of source ? localImports(source) : []) {
        if (!typeOnly) visit(of, [...path, name]);
      }
      done.add(name);
    };
    for (const { name } of sources) visit(name, []);
    expect(cycles).toEqual([]);
  });

  it("need nothing at run time but Node and ioredis, and for its own client node-redis", () => {
    const packagesOf = (isMeant: (name: string) => boolean) => {
      const imports = sources.filter(({ name }) => isMeant(name)).flatMap((source) => source.imports);
      const needed = imports.filter(({ typeOnly }) => !typeOnly).map(({ of }) => of);
      return new Set(needed.filter((of) => of.startsWith("package:")));
    };
    expect(packagesOf((name) => name !== "node-redis")).toEqual(new Set(["package:ioredis"]));
    expect(packagesOf((name) => name === "node-redis")).toEqual(
      new Set(["package:ioredis", "package:redis"]),
    );
  });
});

describe("The files of src", () => {
  it("begin with what they are for", () => {
    expect(sources.filter(({ text }) => !/^\/\*\*\s/.test(text)).map(({ name }) => name)).toEqual([]);
  });

  it("are named after the one noun they are about", () => {
    const vague = /\b(utils?|helpers?|manager|types|common|misc|shared|interfaces|index)\b/;
    const names = sources.map(({ name }) => name);
    expect(names.filter((name) => vague.test(name) && name !== "index")).toEqual([]);
    expect(names.filter((name) => !/^([a-z0-9-]+\/)?[a-z0-9]+(-[a-z0-9]+)*$/.test(name))).toEqual([]);
  });

  it("say primary and replica, but where the words of Redis are read", () => {
    const where = (source: Source) =>
      source.name === "replication" || source.name.startsWith("topology/") ? "" : source.text;
    const blanked = (source: Source) =>
      where(source).replaceAll(namesOfRedis, (name) => "-".repeat(name.length));
    expect(matches(/\w*(master|slave)\w*/gi, blanked)).toEqual([]);
  });

  it("leave nothing for later and silence no tool", () => {
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

  it("asserts a type only where it is listed here, with the reason", () => {
    const asserted = sources.flatMap(({ name, tree }) =>
      [...nodesOf(tree)]
        .filter((node) => ts.isAsExpression(node) || ts.isTypeAssertionExpression(node))
        .filter((node) => !ts.isConstTypeReference(node.type))
        .map((node) => `${name}: ${node.getText().replaceAll(/\s+/g, " ")}`),
    );
    expect(asserted.sort()).toEqual(Object.keys(assertions).sort());
  });
});

/** The pages about the diagnostics channels, checked against the types of the messages. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { beforeAll, describe, expect, it } from "vitest";
import { Counts } from "../src/diagnostics/counts.js";
import { root } from "./support/sources/built-package.js";
import { nodesOf, readSources } from "./support/sources/source-tree.js";

const sources = readSources(fileURLToPath(new URL("../src", import.meta.url)));
const channels = sources.find(({ name }) => name === "diagnostics/channels");

let page: string;

beforeAll(async () => {
  page = await readFile(`${root}/docs/topologies.md`, "utf8");
});

/** The declaration of a type in src/diagnostics/channels.ts. */
function declared<T extends ts.DeclarationStatement>(name: string, isKind: (node: ts.Node) => node is T): T {
  for (const node of channels === undefined ? [] : nodesOf(channels.tree))
    if (isKind(node) && node.name?.getText() === name) return node;
  throw new Error(`src/diagnostics/channels.ts declares no ${name}`);
}

/** The texts that a type of texts allows. */
function membersOf(name: string): string[] {
  const { type } = declared(name, ts.isTypeAliasDeclaration);
  if (!ts.isUnionTypeNode(type)) throw new Error(`${name} is no union`);
  return type.types.map((member) => member.getText().replaceAll('"', ""));
}

/** The fields of a message, without those that it inherits. */
function fieldsOf(name: string): string[] {
  const { members } = declared(name, ts.isInterfaceDeclaration);
  return members.map((member) => member.name?.getText() ?? "");
}

/** A table below a heading of the page: what its first column names in code, and whether each row has a meaning. */
function tableOf(heading: string, column: string): { names: string[]; rows: string[][] } {
  const section = page.slice(page.indexOf(`\n${heading}\n`)).slice(1);
  const end = section.search(/\n#/);
  const lines = section.slice(0, end < 0 ? undefined : end).split("\n");
  const start = lines.findIndex(
    (line, i) => line.startsWith(`| ${column} |`) && lines[i + 1]?.startsWith("| --- |"),
  );
  const length = lines.slice(start).findIndex((line) => !line.startsWith("|"));
  const rows = lines
    .slice(start + 2, start + length)
    .map((line) => line.split("|").map((cell) => cell.trim()))
    .filter(([, first = ""]) => first.startsWith("`"));
  const names = rows.flatMap(([, first = ""]) =>
    [...first.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name),
  );
  return { names, rows };
}

describe("docs/topologies.md", () => {
  it.each<[string, string, string, () => string[]]>([
    ["each reason of a route", "### Where each command goes", "`reason`", () => membersOf("Reason")],
    ["each field of a route", "### Where each command goes", "field", () => fieldsOf("RouteMessage")],
    [
      "each field of a read",
      "### The reads of a request",
      "field",
      () => [...fieldsOf("ReadMessage"), ...fieldsOf("ReadRecord")],
    ],
    ["each state of a server", "## When a replica is not used", "`state`", () => membersOf("NodeState")],
  ])("lists %s, and nothing else", (_what, heading, column, expected) => {
    const { names, rows } = tableOf(heading, column);
    expect(names.toSorted()).toEqual(expected().toSorted());
    expect(rows.filter(([, , meaning = ""]) => meaning === "")).toEqual([]);
  });

  it("shows the fields of each message in the example of a subscriber", () => {
    for (const name of ["RouteMessage", "TopologyMessage"])
      expect(page).toContain(`// { ${fieldsOf(name).join(", ")} }`);
  });
});

it("docs/events.md lists each channel with its export and its message", async () => {
  const events = await readFile(`${root}/docs/events.md`, "utf8");
  const made = [...(channels?.text ?? "").matchAll(/export const (\w+) = channelOf<(\w+)>\("([^"]+)"\)/g)];
  expect(made.length).toBeGreaterThan(0);
  const rows = events.split("\n").filter((line) => line.startsWith("| `tidemark:"));
  for (const [, variable, message, name] of made) {
    const [row = "", ...others] = rows.filter((line) => line.startsWith(`| \`${name}\` |`));
    expect(row).toContain(`| \`${variable}\` |`);
    expect(row).toContain(`\`${message}\``);
    expect(others).toEqual([]);
  }
  expect(rows).toHaveLength(made.length);
});

it("docs/events.md lists each warning once", async () => {
  const events = await readFile(`${root}/docs/events.md`, "utf8");
  const listed = [...events.matchAll(/^\| `(TIDEMARK_[A-Z_]+)` \|/gm)].map(([, code]) => code);
  const codesIn = (text = ""): string[] => [...text.matchAll(/TIDEMARK_[A-Z_]+/g)].map(([code]) => code);
  const ofErrors = new Set(codesIn(sources.find(({ name }) => name === "errors/errors")?.text));
  const used = sources.flatMap(({ text }) => codesIn(text)).filter((code) => !ofErrors.has(code));
  expect(used.length).toBeGreaterThan(0);
  expect(listed.toSorted()).toEqual([...new Set(used)].toSorted());
});

it("there is a count for each reason", () => {
  const counts = new Counts({});
  const reasons = membersOf("Reason");
  for (const reason of reasons) Reflect.apply(counts.sent, counts, [reason, "session"]);
  expect(counts.commands.map(({ reason }) => reason).toSorted()).toEqual(reasons.toSorted());
});

/** Our classification of commands, compared with the flags that Redis publishes. */
import { createRequire } from "node:module";
import { describe, expect, it } from "vitest";
import { type CommandKind, kindOf } from "../../src/commands/command-kind.js";

interface CommandList {
  readonly list: readonly string[];
  hasFlag(name: string, flag: string): boolean;
}

function kind(line: string, inBatch = false): CommandKind {
  const [name = "", ...args] = line.split(" ");
  return kindOf({ name, args }, inBatch);
}

/** Commands that Redis flags `readonly`, but a replica does not answer as the primary would. */
const notRead: Readonly<Record<string, string>> = {
  "dbsize lolwut randomkey": "describe one node",
  "scan hscan sscan zscan arscan": "a cursor belongs to one node",
  touch: "moves the node's own eviction clock",
  "arcount arget argetrange argrep arinfo arlastitems arlen armget arnext arop digest sdiffcard sunioncard":
    "newer than the servers this was tried on",
  "vcard vdim vemb vgetattr vinfo vismember vlinks vrandmember vrange vsim":
    "a graph that each node builds for itself, so that answers differ",
};

describe("kindOf, compared with the flags that Redis publishes", () => {
  const require = createRequire(import.meta.url);

  it.each(["ioredis", "ioredis5"])(
    "classifies only commands with the flag readonly as reads (%s)",
    (name) => {
      const flags = commandsOf(name);
      const reads = flags.list.filter((command) => kind(command) === "read");
      expect(reads.filter((command) => !flags.hasFlag(command, "readonly"))).toEqual([]);
      expect(reads.length).toBeGreaterThan(75);
    },
  );

  it.each(["ioredis", "ioredis5"])(
    "classifies every command with the flag readonly as a read, except the listed ones (%s)",
    (name) => {
      const flags = commandsOf(name);
      const listed = new Set(Object.keys(notRead).flatMap((names) => names.split(" ")));
      const readonly = flags.list.filter((command) => flags.hasFlag(command, "readonly"));
      expect(readonly.filter((command) => kind(command) !== "read" && !listed.has(command))).toEqual([]);
    },
  );

  it.each(["ioredis", "ioredis5"])("classifies no command with the flag write as a lookup (%s)", (name) => {
    const flags = commandsOf(name);
    const lookups = flags.list.filter((command) => kind(command) === "lookup");
    expect(lookups.filter((command) => flags.hasFlag(command, "write"))).toEqual([]);
  });

  it.each(["ioredis", "ioredis5"])(
    "keeps commands with the flag blocking off shared connections (%s)",
    (name) => {
      const flags = commandsOf(name);
      const blocking = flags.list.filter((command) => flags.hasFlag(command, "blocking"));
      const apart = new Set<CommandKind>(["blocking", "refused"]);
      expect(blocking.filter((command) => !apart.has(kind(`${command} BLOCK 0`)))).toEqual([]);
    },
  );

  it("lists as exceptions only commands that have the flag readonly and are not reads", () => {
    const flags = commandsOf("ioredis");
    const listed = Object.keys(notRead).flatMap((names) => names.split(" "));
    expect(listed.filter((command) => kind(command) === "read")).toEqual([]);
    expect(listed.filter((command) => !flags.hasFlag(command, "readonly"))).toEqual([]);
  });

  function commandsOf(name: string): CommandList {
    return createRequire(require.resolve(name))("@ioredis/commands");
  }
});

/** What we take a command for, beside the flags that Redis publishes of it. */
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

describe("kindOf, beside the flags that Redis publishes", () => {
  const require = createRequire(import.meta.url);

  it.each(["ioredis", "ioredis5"])("calls nothing a read that is not flagged readonly (%s)", (name) => {
    const flags = commandsOf(name);
    const reads = flags.list.filter((command) => kind(command) === "read");
    expect(reads.filter((command) => !flags.hasFlag(command, "readonly"))).toEqual([]);
    expect(reads.length).toBeGreaterThan(75);
  });

  it.each(["ioredis", "ioredis5"])(
    "calls all a read that is flagged so, but for those listed (%s)",
    (name) => {
      const flags = commandsOf(name);
      const listed = new Set(Object.keys(notRead).flatMap((names) => names.split(" ")));
      const readonly = flags.list.filter((command) => flags.hasFlag(command, "readonly"));
      expect(readonly.filter((command) => kind(command) !== "read" && !listed.has(command))).toEqual([]);
    },
  );

  it.each(["ioredis", "ioredis5"])("calls nothing a lookup that is flagged as a write (%s)", (name) => {
    const flags = commandsOf(name);
    const lookups = flags.list.filter((command) => kind(command) === "lookup");
    expect(lookups.filter((command) => flags.hasFlag(command, "write"))).toEqual([]);
  });

  it.each(["ioredis", "ioredis5"])(
    "lets nothing that is flagged as blocking hold up a shared connection (%s)",
    (name) => {
      const flags = commandsOf(name);
      const blocking = flags.list.filter((command) => flags.hasFlag(command, "blocking"));
      const apart = new Set<CommandKind>(["blocking", "refused"]);
      expect(blocking.filter((command) => !apart.has(kind(`${command} BLOCK 0`)))).toEqual([]);
    },
  );

  it("has no command in its list of exceptions that is called a read, or that is no longer flagged", () => {
    const flags = commandsOf("ioredis");
    const listed = Object.keys(notRead).flatMap((names) => names.split(" "));
    expect(listed.filter((command) => kind(command) === "read")).toEqual([]);
    expect(listed.filter((command) => !flags.hasFlag(command, "readonly"))).toEqual([]);
  });

  function commandsOf(name: string): CommandList {
    return createRequire(require.resolve(name))("@ioredis/commands");
  }
});

import { describe, expect, test } from "vitest";
import { Greeting, type Speaker } from "../support/servers/greeting.js";

/** As clients encode it. */
function command(...words: string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join("")}`;
}

/** Commands as clients encode them. */
function heard(said: string, size = said.length): { speaker: Speaker | undefined; bytes: number } {
  const greeting = new Greeting();
  for (let at = 0; at < said.length; at += size) {
    const speaker = greeting.hear(Buffer.from(said.slice(at, at + size)));
    if (speaker !== undefined) return { speaker, bytes: Math.min(at + size, said.length) };
  }
  return { speaker: undefined, bytes: said.length };
}

const replica = command("PING") + command("AUTH", "secret") + command("REPLCONF", "listening-port", "7001");
const sentinel = command("AUTH", "secret") + command("CLIENT", "SETNAME", "sentinel-0f12ab-cmd");

describe("A greeting", () => {
  test.each([
    { who: "a replica", said: replica, speaker: { party: "replicas", port: 7001 } },
    { who: "a sentinel", said: sentinel, speaker: { party: "sentinels" } },
    { who: "a client", said: command("PING") + command("get", "k"), speaker: { party: "clients" } },
    {
      who: "a client with a name",
      said: command("CLIENT", "SETNAME", "worker"),
      speaker: { party: "clients" },
    },
    { who: "a client with a version", said: command("HELLO", "3"), speaker: { party: "clients" } },
    { who: "a terminal", said: "get k\r\n", speaker: { party: "clients" } },
    { who: "a replica by hand", said: "ping\r\npsync ? -1\r\n", speaker: { party: "replicas" } },
  ])("identifies $who, in pieces of any size", ({ said, speaker }) => {
    for (const size of [said.length, 1, 7]) expect(heard(said, size).speaker).toEqual(speaker);
  });

  test("ends with the word that identifies a replica, and not before", () => {
    expect(heard(replica, 1).bytes).toBe(replica.length);
    expect(heard(replica.slice(0, -1)).speaker).toBeUndefined();
  });

  test.each(["psync", "client", "7001"])("ignores the word %s in a client's value", (word) => {
    const said = command("SET", "k", `\r\n*3\r\n${command(word, "listening-port", "7001")}`);
    expect(heard(said).speaker).toEqual({ party: "clients" });
  });

  test("identifies a client by its first word, however long the command gets", () => {
    expect(heard("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000000\r\nxxxx").speaker).toEqual({ party: "clients" });
    const tooLong = command("AUTH", "x".repeat(9_000));
    expect(heard(tooLong, 1_000)).toEqual({ speaker: { party: "clients" }, bytes: 5_000 });
  });
});

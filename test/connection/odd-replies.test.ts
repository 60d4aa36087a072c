/** A server that sends something no Redis server sends loses that connection, and nothing else is affected. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { root } from "../support/sources/built-package.js";

const run = promisify(execFile);

/** ioredis 5 speaks only the older one. */
const protocols = process.env.IOREDIS === "5" ? ["2"] : ["2", "3"];
const perProtocol = protocols.length;

/** Runs an app of its own, because an error that nobody catches would end it; resolves with what it has printed. */
async function app(scene: string): Promise<string[]> {
  const args = ["--import", "tsx", "test/support/proxies/odd-replies.ts", scene];
  const env = { ...process.env, PROTOCOLS: protocols.join() };
  const { stdout } = await run(process.execPath, args, { cwd: root, env, maxBuffer: 2 ** 24 });
  return stdout.trim().split("\n");
}

describe.concurrent("an app whose server sends invalid replies", () => {
  it("subscribes as soon as a server sends valid replies again", async () => {
    expect(await app("subscriptions")).toHaveLength(perProtocol * 12);
  }, 180_000);

  it("closes each connection with an unsolicited reply, and names the server and the reply", async () => {
    const lines = await app("unaskedReplies");
    expect(lines).toHaveLength(perProtocol * 28);
    for (const line of lines)
      expect(line).toMatch(/<server> sent .*, so Tidemark closed this connection and reconnects\. Check /);
    expect(lines[0]).toContain("2 null <server> sent null that answers no command, so");
    expect(lines).toContainEqual(expect.stringContaining("2 no Redis <server> sent the byte 0x48 where"));
    expect(lines).toContainEqual(
      expect.stringContaining("2 an error <server> sent an error that answers no command (ERR nonsense)"),
    );
  }, 180_000);

  it("follows a Sentinel that answered PSUBSCRIBE with an invalid reply, without more and more requests", async () => {
    const lines = await app("sentinels");
    expect(lines).toHaveLength(12);
    for (const line of lines) expect(line).toMatch(/a few times$/);
  }, 180_000);

  it("recovers from invalid replies during the handshake", async () => {
    expect(await app("handshakes")).toHaveLength(perProtocol * 7);
  }, 180_000);

  it("survives a rejected resubscription", async () => {
    expect(await app("renewals")).toEqual(["renewed"]);
  }, 180_000);
});

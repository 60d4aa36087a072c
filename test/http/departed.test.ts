/** Clients that disconnect while the headers of their response are deferred. */
import { connect } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import type { Session } from "../../src/session/session.js";
import { listening } from "../support/http/door.js";
import { chunks, type Reply, refuse } from "../support/http/framework-app.js";
import { endWrite, HandMadeSessions } from "../support/stages/hand-made-sessions.js";
import { startWrite } from "../support/stages/open-writes.js";
import { waitUntil } from "../support/wait-until.js";

describe.each(Object.entries(listening))("on %s", (_name, open) => {
  it.each<[what: string, reply: () => Reply]>([
    ["a text", () => ({ body: "a body" })],
    ["a stream", () => ({ chunks: chunks("a ", "body") })],
    ["an error", () => refuse(500)],
  ])("a client that disconnects while the headers are deferred causes no error: %s", async (_what, reply) => {
    const failed = vi.fn();
    process.on("unhandledRejection", failed).on("uncaughtException", failed);
    let written: Session | undefined;
    await using door = await open(new HandMadeSessions(), {
      handler: ({ session, query }) => {
        if (query.has("other")) return { body: "other" };
        written = session;
        startWrite(session);
        return reply();
      },
    });
    const address = door.server?.address();
    if (typeof address !== "object" || address === null) throw new Error("the server has no port");
    const client = connect(address.port, "127.0.0.1");
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await waitUntil(() => written !== undefined, { what: "the handler has been called" });
    client.destroy();
    const countConnections = () =>
      new Promise<number>((resolve) => door.server?.getConnections((_error, count) => resolve(count)));
    await waitUntil(async () => (await countConnections()) === 0, {
      what: "the server has closed the connection",
    });
    if (written !== undefined) endWrite(written, 7);
    await turn();
    expect(await door.ask({ query: "other" })).toMatchObject({ status: 200, body: "other" });
    process.off("unhandledRejection", failed).off("uncaughtException", failed);
    expect(failed).not.toHaveBeenCalled();
  });
});

/** When the headers of a response are sent, and how the wait looks to the handler. */
import { once } from "node:events";
import { type ServerResponse, request as send } from "node:http";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { describe, expect, it, vi } from "vitest";
import { HeldServer } from "../support/http/held-server.js";
import { waitUntil } from "../support/wait-until.js";

const onHeaders: (response: ServerResponse, listener: () => void) => void = createRequire(import.meta.url)(
  "on-headers",
);

/** How many bytes have been handed to the socket, sent or not. */
function bytesOf(response: ServerResponse | undefined): number {
  return response?.socket?.bytesWritten ?? -1;
}

function codeOf(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error instanceof Error && "code" in error ? error.code : error;
  }
  return "no error";
}

describe("with no write to wait for", () => {
  it("the bytes are on the socket when end() returns", async () => {
    await using held = await HeldServer.serve((response, { log }) => {
      response.end("a body");
      log.push(bytesOf(response) > 0, response.writableEnded);
    });
    await (await held.asked()).answer;
    expect(held.log).toEqual([true, true, "answered"]);
  });

  it("the headers cover a write that starts and ends between writeHead() and end()", async () => {
    await using held = await HeldServer.serve((response, { writes }) => {
      response.writeHead(201, { "X-A": "1" });
      writes.start();
      writes.end();
      response.end("a body");
    });
    const { status, headers, body } = await (await held.asked()).answer;
    expect({ status, a: headers["x-a"], ended: headers.ended, body }).toEqual({
      status: 201,
      a: "1",
      ended: "1",
      body: "a body",
    });
  });
});

describe("a response whose headers are deferred", () => {
  it("looks already sent to its handler", async () => {
    await using held = await HeldServer.serve((response, { writes, log }) => {
      writes.start();
      response.end("a body");
      log.push(response.headersSent, response.writableEnded, bytesOf(response));
      log.push(codeOf(() => response.setHeader("X-Late", "1")));
      log.push(codeOf(() => response.writeHead(500, { "X-Late": "1" })));
      response.statusCode = 500;
    });
    const { answer } = await held.asked();
    held.release();
    expect(await answer).toMatchObject({ status: 200, statusMessage: "OK", body: "a body" });
    const sent = "ERR_HTTP_HEADERS_SENT";
    expect(held.log).toEqual([true, true, 0, sent, sent, "write ended", "answered"]);
    expect(held.response?.writableEnded).toBe(true);
  });

  it("also waits for a write that starts before end() is called", async () => {
    await using held = await HeldServer.serve((response, { writes, log }) => {
      response.on("drain", () => log.push("drain"));
      writes.start();
      response.write("a ");
      writes.start();
      response.end("body");
    });
    const { answer } = await held.asked();
    held.release();
    await new Promise(setImmediate);
    expect(bytesOf(held.response)).toBe(0);
    held.release();
    expect(await answer).toMatchObject({ body: "a body", headers: { ended: "2" } });
    expect(held.log).toEqual(["write ended", "write ended", "answered"]);
  });

  it("waits for a write that starts in a listener for the headers", async () => {
    await using held = await HeldServer.serve((response, { writes }) => {
      onHeaders(response, () => writes.start());
      response.end("a body");
    });
    const { answer } = await held.asked();
    expect(bytesOf(held.response)).toBe(0);
    held.release();
    expect(await answer).toMatchObject({ body: "a body", headers: { ended: "1", "content-length": "6" } });
  });

  it("throws immediately, in its handler, on input that Node refuses", async () => {
    await using held = await HeldServer.serve((response, { writes, log }) => {
      writes.start();
      log.push(codeOf(() => response.write(Object.create(null))));
      log.push(codeOf(() => response.end(7)));
      log.push(codeOf(() => response.writeHead(99)));
      log.push(codeOf(() => response.writeHead(200, { "X-A": "\n" })));
      log.push(codeOf(() => response.writeHead(200, ["X-A"])));
      response.statusCode = 1000;
      log.push(codeOf(() => response.end()));
      response.statusCode = 200;
      response.end("a body");
    });
    const { answer } = await held.asked();
    expect(held.log.splice(0)).toEqual([
      "ERR_INVALID_ARG_TYPE",
      "ERR_INVALID_ARG_TYPE",
      "ERR_HTTP_INVALID_STATUS_CODE",
      "ERR_INVALID_CHAR",
      "ERR_INVALID_ARG_VALUE",
      "ERR_HTTP_INVALID_STATUS_CODE",
    ]);
    held.release();
    expect(await answer).toMatchObject({ status: 200, body: "a body" });
  });

  it("calls the callbacks of buffered chunks in order, then emits drain", async () => {
    await using held = await HeldServer.serve((response, { writes, log }) => {
      writes.start();
      response.on("drain", () => log.push("drain"));
      log.push(response.write("a ", () => log.push("first")));
      log.push(response.write("body", "utf8", () => log.push("second")));
    });
    const { answer } = await held.asked();
    held.release();
    await waitUntil(() => held.log.includes("drain"), { what: "drain was emitted" });
    held.response?.end(() => held.log.push("end"));
    await answer;
    expect(held.log.filter((entry) => entry !== "answered")).toEqual([
      false,
      false,
      "write ended",
      "drain",
      "first",
      "second",
      "end",
    ]);
  });

  it("emits drain as Node does: once for all writes, when the socket has taken them, and not after end()", async () => {
    const drains = { before: 0, after: 0 };
    await using held = await HeldServer.serve((response, { writes }) => {
      writes.start();
      response.write("a".repeat(1_000_000));
      response.once("drain", () => response.write("b", () => response.end()));
      response.on("drain", () => {
        drains[response.writableEnded ? "after" : "before"] += 1;
      });
    });
    const { answer } = await held.asked();
    held.release();
    expect(drains).toEqual({ before: 0, after: 0 });
    expect((await answer).body).toHaveLength(1_000_001);
    expect(drains).toEqual({ before: 1, after: 0 });
  });

  it("is dropped when the client disconnects, and its callbacks get the error", async () => {
    await using held = await HeldServer.serve((response, { writes, log }) => {
      writes.start();
      response.write("a ", (error) => log.push(error?.message));
      response.end("body");
      response.on("close", () => log.push("close"));
    });
    const client = connect(held.port, "127.0.0.1", () => client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    await waitUntil(() => held.response !== undefined, { what: "the handler has been called" });
    client.destroy();
    await waitUntil(() => held.log.length > 1, { what: "the callback has been called" });
    held.release();
    await new Promise(setImmediate);
    expect(held.log).toEqual(["close", "Cannot call write after a stream was destroyed", "write ended"]);
  });

  it("is sent even when the server is asked to close meanwhile", async () => {
    await using held = await HeldServer.serve((response, { writes }) => {
      writes.start();
      response.end("a body");
    });
    const { answer } = await held.asked();
    held.server?.close();
    held.release();
    expect(await answer).toMatchObject({ body: "a body" });
  });

  it("does not hold back interim responses", async () => {
    await using held = await HeldServer.serve((response, { writes }) => {
      writes.start();
      response.writeProcessing();
      response.end("a body");
    });
    const sent = send({ port: held.port, agent: false }).end();
    const [{ statusCode }] = await once(sent, "information");
    expect(statusCode).toBe(102);
    held.release();
    const [response] = await once(sent, "response");
    expect(await text(response)).toBe("a body");
  });

  it("keeps its place among pipelined requests", async () => {
    let calls = 0;
    await using held = await HeldServer.serve((response, { writes }) => {
      calls += 1;
      if (calls === 1) writes.start();
      response.end(`body ${calls};`);
    });
    const get = "GET / HTTP/1.1\r\nHost: a\r\n";
    const client = connect(held.port, "127.0.0.1", () =>
      client.write(`${get}\r\n${get}Connection: close\r\n\r\n`),
    );
    await waitUntil(() => calls === 2, { what: "both requests have been handled" });
    held.release();
    expect((await text(client)).match(/body \d;/g)).toEqual(["body 1;", "body 2;"]);
  });

  it("destroys the connection, as Node does, when the buffered data turns out to be invalid", async () => {
    const rejected = vi.fn();
    process.on("unhandledRejection", rejected);
    await using held = await HeldServer.serve((response, { writes }) => {
      writes.start();
      response.strictContentLength = true;
      response.setHeader("Content-Length", 1);
      response.end("too long");
    });
    const { answer } = await held.asked();
    held.release();
    await expect(answer).rejects.toThrow("socket hang up");
    process.off("unhandledRejection", rejected);
    expect(rejected).not.toHaveBeenCalled();
  });
});

/** The INFO that follows writes, for apps that trace the commands of ioredis. */
import { tracingChannel } from "node:diagnostics_channel";
import { expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

let tidemark: Tidemark;

stageTidemark({ replicas: 1 }, (stage) => {
  ({ tidemark } = stage);
});

it("ends the trace of an INFO when the server has answered", async () => {
  const [begun, ended]: [string[], string[]] = [[], []];
  const nameOf = (message: unknown): string => String(Reflect.get(Object(message), "command"));
  const seen = {
    start: (message: unknown) => begun.push(nameOf(message)),
    end() {},
    asyncStart() {},
    asyncEnd: (message: unknown) => ended.push(nameOf(message)),
    error() {},
  };
  const channel = tracingChannel("ioredis:command");
  channel.subscribe(seen);
  try {
    await tidemark.session().redis.set("k", "v");
    await waitUntil(async () => ended.includes("info"), { what: "the trace of INFO has ended" });
    expect(begun).toContain("info");
    expect(ended).toContain("set");
  } finally {
    channel.unsubscribe(seen);
  }
});

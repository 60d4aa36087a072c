/** `tidemark.run`, with each store of the current session. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { endNamespaces } from "../support/stages/cls-namespace.js";
import { contextKinds } from "../support/stages/contexts.js";
import { openTidemark } from "../support/stages/open-tidemark.js";

endNamespaces();

let group: ReplicationGroup;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
});

afterAll(() => group?.stop());

describe.each(contextKinds)("In $kind, a run", ({ open }) => {
  it("uses the session of the innermost run, and the outer one again afterwards", async () => {
    await using tidemark = openTidemark(group, { context: open() });
    const [outer, inner] = [tidemark.session(), tidemark.session()];
    await tidemark.run(outer, async () => {
      await tidemark.run(inner, () => tidemark.redis.set("key", "inner"));
      expect([outer.wrote, inner.wrote]).toEqual([false, true]);
      await tidemark.redis.set("key", "outer");
    });
    expect(outer.wrote).toBe(true);
  });

  it("passes on every result and error of its callback", async () => {
    const context = open();
    await using tidemark = openTidemark(group, { context });
    const session = tidemark.session();
    const result = {};
    expect(tidemark.run(session, () => result)).toBe(result);
    for (const thrown of [Object.freeze(new Error("frozen")), "text", undefined]) {
      let caught: unknown = "nothing";
      try {
        tidemark.run(session, () => {
          throw thrown;
        });
      } catch (error) {
        caught = error;
      }
      expect(caught).toBe(thrown);
      expect(context.get()).toBeUndefined();
    }
  });
});

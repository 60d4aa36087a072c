/** Sessions whose primary is restarted, frozen or disconnected for a while. */
import { beforeEach, expect, it } from "vitest";
import type { Session, Tidemark } from "../../../src/index.js";
import { describeOnServers } from "../../support/servers/backend.js";
import { replicasAreEligible } from "../../support/stages/eligible-replicas.js";
import { hasValue, isLinked, ServerStage } from "../../support/stages/server-stage.js";
import { waitUntil } from "../../support/wait-until.js";

describeOnServers("a session whose primary is gone for a while", () => {
  const stage = ServerStage.set();
  let tidemark: Tidemark;
  let session: Session;

  beforeEach(async () => {
    tidemark = await stage.open();
    session = tidemark.session();
    await session.redis.set("k", "first");
    for (const replica of stage.replicas) await hasValue(replica, "k", "first");
    await replicasAreEligible(tidemark);
  });

  /** Every value read repeatedly with the session's token while `happens` runs. */
  async function readDuring(happens: () => Promise<void>): Promise<unknown[]> {
    const token = session.token();
    const seen = new Set<string | null>();
    let isOver = false;
    const reads = (async (): Promise<void> => {
      for (let more = 20; more > 0; more -= isOver ? 1 : 0) {
        seen.add(await tidemark.session({ token }).redis.get("k"));
      }
    })();
    await happens().finally(() => {
      isOver = true;
    });
    await reads;
    return [...seen];
  }

  /** Nothing is in flight when it comes back, so that the first write that is taken is the one that counts. */
  async function writesAndReadsBack(): Promise<void> {
    await waitUntil(async () => (await session.redis.set("k", "second")) === "OK", {
      what: "writes succeed",
    });
    const other = await stage.open();
    const token = session.token();
    for (let i = 0; i < 20; i++) {
      expect(await session.redis.get("k")).toBe("second");
      expect(await tidemark.session({ token }).redis.get("k")).toBe("second");
      expect(await other.session({ token }).redis.get("k")).toBe("second");
    }
  }

  it("keeps reading, and writes again when the primary is restarted", async () => {
    expect(await readDuring(() => stage.primary.restart())).toEqual(["first"]);
    await writesAndReadsBack();
    await Promise.all(stage.replicas.map(isLinked));
    await replicasAreEligible(tidemark);
  });

  it("is answered by replicas while the primary is frozen", async () => {
    await stage.primary.pause();
    const before = session.token();
    for (let i = 0; i < 20; i++) {
      expect(await tidemark.session({ token: before }).redis.get("k")).toBe("first");
    }
    await stage.primary.resume();
    await writesAndReadsBack();
  });

  it("is answered by replicas while the primary is off the network, and writes when it is back", async () => {
    await stage.primary.disconnect("everyone");
    const before = session.token();
    for (let i = 0; i < 20; i++) {
      expect(await tidemark.session({ token: before }).redis.get("k")).toBe("first");
    }
    await stage.primary.connect();
    await writesAndReadsBack();
    await Promise.all(stage.replicas.map(isLinked));
    await replicasAreEligible(tidemark);
  });
});

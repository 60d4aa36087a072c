/** A failover that loses a write, as users of an Express app see it. */
import type { Express } from "express";
import supertest from "supertest";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readYourWrites } from "../../src/http/frameworks/express.js";
import { LostWriteError, type Tidemark } from "../../src/index.js";
import { expresses } from "../support/http/replies.js";
import { failOver, replicaOf } from "../support/servers/failover.js";
import { holdReplicas } from "../support/servers/held-replicas.js";
import { promotionIsNoticed } from "../support/servers/promotion.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";

const secret = "a secret of this test";

let group: ReplicationGroup;
let tidemark: Tidemark;
/** Another process of the same app. */
let elsewhere: Tidemark;

beforeEach(async () => {
  group = await startReplicationGroup({ replicas: 1 });
  [tidemark, elsewhere] = [
    openTidemark(group, { onLostWrite: "error" }),
    openTidemark(group, { onLostWrite: "error" }),
  ];
  await Promise.all([tidemark, elsewhere].map(replicasAreEligible));
});

afterEach(async () => {
  await Promise.all([tidemark, elsewhere].map((one) => one.close()));
  await group.stop();
});

describe.each(Object.entries(expresses))("on %s", (_name, express) => {
  function appOf(routing: Tidemark, status: number): Express {
    const app = express().use(readYourWrites(routing, { secret }));
    app.post("/note/:text", ({ redis, params }, response, next) => {
      redis.set("note", params.text).then(() => response.sendStatus(204), next);
    });
    app.get("/note", ({ redis }, response, next) => {
      redis.get("note").then(
        (note) => response.json({ note }),
        (error: unknown) => {
          if (error instanceof LostWriteError) response.status(status).json({ lost: true });
          else next(error);
        },
      );
    });
    return app;
  }

  it.each([200, 409, 500])(
    "a user is notified once, by a response of status %i with a new token",
    async (status) => {
      const user = supertest.agent(appOf(tidemark, status));
      await user.post("/note/kept").expect(204);
      await group.caughtUp();
      holdReplicas(group);
      await user.post("/note/lost").expect(204);
      const promoted = await failOver(group, replicaOf(group));
      await Promise.all([tidemark, elsewhere].map((one) => promotionIsNoticed(one, promoted)));
      const told = await user.get("/note").expect(status, { lost: true });
      expect(told.get("Set-Cookie")?.join()).toContain("tm_");
      const cookies = user.jar.getCookies({ path: "/", domain: "127.0.0.1", secure: false, script: false });
      await user.get("/note").expect(200, { note: "kept" });
      const there = supertest(appOf(elsewhere, status)).get("/note");
      await there.set("Cookie", cookies.toValueString()).expect(200, { note: "kept" });
      expect([tidemark.lostWrites, elsewhere.lostWrites]).toEqual([1, 0]);
    },
  );
});

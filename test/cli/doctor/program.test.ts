/** The program `tidemark doctor`, run as a process of its own. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tidemark } from "../../support/cli/program.js";
import { type ReplicationGroup, startReplicationGroup } from "../../support/servers/replication-group.js";

describe("tidemark doctor", () => {
  let group: ReplicationGroup;
  beforeAll(async () => {
    group = await startReplicationGroup({ replicas: 1 });
  });
  afterAll(() => group.stop());

  it("prints the findings of all servers", async () => {
    const { stdout, stderr } = await tidemark(["doctor", group.primary.url]);
    expect(stderr).toBe("");
    expect(stdout).toContain("PASS  roles");
    expect(stdout).toContain("PASS  replication-link");
  });

  it("exits with 2 if no server can be reached", async () => {
    const { code, stdout } = await tidemark(["doctor", "redis://127.0.0.1:1"]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: expect.stringContaining("ECONNREFUSED") });
  });

  it("exits with 2 and hides the password of a bad URL", async () => {
    const { code, stdout, stderr } = await tidemark(["doctor", "http://user:hush-hush@10.0.0.1"]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain("http://***@10.0.0.1");
    expect(stderr).not.toContain("hush-hush");
  });
});

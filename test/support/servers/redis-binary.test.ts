import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { findRedisServer } from "./redis-binary.js";

describe("findRedisServer()", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "tidemark-binary-"));
    vi.stubEnv("REDIS_SERVER", "");
  });

  afterEach(async () => {
    vi.unstubAllEnvs();
    await rm(folder, { recursive: true });
  });

  /** A program that says it is a server, on a PATH that has nothing else. */
  async function install(name: string, versionLine: string): Promise<string> {
    const path = join(folder, name);
    await writeFile(path, `#!/bin/sh\necho "${versionLine}"\n`);
    await chmod(path, 0o755);
    vi.stubEnv("PATH", folder);
    return path;
  }

  test("prefers REDIS_SERVER to anything on the PATH", async () => {
    await install("redis-server", "Redis server v=7.2.4 sha=00000000:0");
    const chosen = await install("my-own-server", "Redis server v=6.2.16 sha=00000000:0");
    vi.stubEnv("REDIS_SERVER", chosen);
    expect(await findRedisServer(folder)).toMatchObject({ path: chosen, version: "6.2.16", major: 6 });
  });

  test("recognises Valkey 7, which leaves its name out", async () => {
    const chosen = await install("valkey-server", "Server v=7.2.7 sha=00000000:0");
    vi.stubEnv("REDIS_SERVER", chosen);
    expect(await findRedisServer(folder)).toMatchObject({ flavour: "valkey", version: "7.2.7", major: 7 });
  });

  test("reports a REDIS_SERVER that does not exist, in one line", async () => {
    vi.stubEnv("REDIS_SERVER", "/nowhere/redis-server");
    const error = await findRedisServer(folder).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      message: expect.stringMatching(/^.*\/nowhere\/redis-server does not run.*$/),
    });
  });

  test("reports a REDIS_SERVER that is another program", async () => {
    const chosen = await install("redis-server", "pretty good shell 1.0");
    vi.stubEnv("REDIS_SERVER", chosen);
    await expect(findRedisServer(folder)).rejects.toThrow(chosen);
  });

  test("skips a Redis that is too old, and uses a Valkey", async () => {
    await install("redis-server", "Redis server v=5.0.3 sha=00000000:0");
    const valkey = { name: "valkey-server", line: "Valkey server v=8.0.1 sha=00000000:0" };
    await install(valkey.name, valkey.line);
    const found = await findRedisServer(folder);
    expect(found).toMatchObject({ path: valkey.name, flavour: "valkey", version: "8.0.1", major: 8 });
  });

  test("says in one line what to install when nothing can be downloaded", async () => {
    vi.stubEnv("PATH", folder);
    const error = await findRedisServer(folder).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ message: expect.stringMatching(/^no redis-server.*: install Redis.*$/) });
  });
});

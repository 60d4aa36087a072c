/** Prepares tests in containers: an engine that answers, and an image in it. */

import type { TestProject } from "vitest/node";
import type { Ground } from "./backend.js";

/** Called by vitest before all tests. */
export default async function setUp(project: TestProject): Promise<void> {
  project.provide("ground", await findGround());
}

async function findGround(): Promise<Ground> {
  // Read when it is loaded: the image of its cleaner could only come from a registry.
  process.env.TESTCONTAINERS_RYUK_DISABLED = "true";
  const { getContainerRuntimeClient } = await import("testcontainers");
  const engine = await getContainerRuntimeClient().catch(() => undefined);
  if (engine === undefined) {
    console.log("No Docker engine answers: the tests in containers are skipped.");
    return { kind: "nowhere" };
  }
  const { importRedisImage } = await import("./redis-image.js");
  const image = process.env.REDIS_IMAGE || (await importRedisImage(engine));
  console.log(`Docker ${engine.info.containerRuntime.serverVersion} runs the image ${image}.`);
  return { kind: "containers", image };
}

/** The published package: packed by npm, installed into an empty project, and used there. */
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "./support/sources/built-package.js";
import { InstalledPackage } from "./support/sources/installed-package.js";

let installed: InstalledPackage;

beforeAll(async () => {
  // Express itself is left out, because only its types are needed.
  const types = ["@types/express", "@types/node", "@types/cls-hooked"];
  const limiters = ["express-rate-limit", "rate-limit-redis"];
  const telemetry = ["api", "instrumentation-http", "instrumentation-ioredis", "sdk-trace-node"].map(
    (name) => `@opentelemetry/${name}`,
  );
  installed = await InstalledPackage.install(["ioredis", "redis", ...types, ...limiters, ...telemetry]);
});

afterAll(() => installed[Symbol.asyncDispose]());

describe("The tarball", () => {
  it("contains the built files with their sources, the documents for users, and nothing else", () => {
    const expected =
      /^(dist\/[\w/-]+\.(js|d\.ts)(\.map)?|src\/[\w/-]+\.ts|docs\/[\w-]+\.(md|svg|png)|grafana\/(dashboard\.json|alerts\.yml)|package\.json|README\.md|LICENSE|CHANGELOG\.md)$/;
    expect(installed.packed.filter((path) => !expected.test(path))).toEqual([]);
    expect(installed.packed).toContain("dist/index.js");
    expect(installed.packed).toContain("dist/index.d.ts");
    expect(installed.packed).toContain("dist/http/frameworks/express.js");
    expect(installed.packed).toContain("dist/http/frameworks/express.d.ts");
    // Warnings name this file.
    expect(installed.packed).toContain("docs/late-writes.md");
    expect(installed.packed).toContain("grafana/dashboard.json");
    expect(installed.packed).toContain("grafana/alerts.yml");
    expect(installed.packed).toContain("dist/client/node-redis.js");
    expect(installed.packed).toContain("dist/index.js.map");
    expect(installed.packed).toContain("src/index.ts");
    expect(installed.packed).toContain("dist/client/node-redis.d.ts");
  });

  it("satisfies publint, warnings included", async () => {
    await installed.tool("publint", ["run", installed.tarball, "--strict"]);
  });

  it("has types that resolve in every way the package does", async () => {
    await installed.tool("attw", [installed.tarball, "--profile", "esm-only", "--no-emoji", "--no-color"]);
  });
});

describe("The installed package", () => {
  const names = ["Tidemark", "TidemarkError", "InvalidOptionError", "routeChannel"];
  const middleware = ["readYourWrites", "strong", "eventual", "bounded", "cookie"];

  it("can be imported from an ES module without express", async () => {
    const text = `
      import * as tidemark from "tidemark";
      import * as express from "tidemark/express";
      import * as nodeRedis from "tidemark/node-redis";
      import * as opentelemetry from "tidemark/opentelemetry";
      const entries = [tidemark, express, nodeRedis, opentelemetry];
      console.log(JSON.stringify(entries.map((entry) => Object.keys(entry))));`;
    expect(await installed.result("import.mjs", text)).toEqual([
      expect.arrayContaining(names),
      expect.arrayContaining(middleware),
      ["nodeRedis"],
      expect.arrayContaining(["registerMetrics", "requestHook"]),
    ]);
  });

  it("leaves ioredis to be patched when an app imports tidemark/opentelemetry first", async () => {
    const text = `
      import { createRequire } from "node:module";
      import "tidemark/opentelemetry";
      const { cache } = createRequire(import.meta.url);
      const loaded = () => Object.keys(cache).some((path) => /ioredis/.test(path));
      const before = loaded();
      await import("tidemark");
      console.log(JSON.stringify([before, loaded()]));`;
    expect(await installed.result("first.mjs", text)).toEqual([false, true]);
  });

  it("can be required from CommonJS, and is then the same module", async () => {
    const text = `
      const tidemark = require("tidemark");
      const express = require("tidemark/express");
      import("tidemark").then(({ Tidemark }) => {
        const same = Tidemark === tidemark.Tidemark;
        console.log(JSON.stringify([Object.keys(tidemark), Object.keys(express), same]));
      });`;
    expect(await installed.result("require.cjs", text)).toEqual([
      expect.arrayContaining(names),
      expect.arrayContaining(middleware),
      true,
    ]);
  });

  it("has the program tidemark, which apps that import the package do not load", async () => {
    const text = `
      import { execFileSync } from "node:child_process";
      import { createRequire } from "node:module";
      import "tidemark";
      import "tidemark/express";
      const help = execFileSync("node_modules/.bin/tidemark", ["doctor", "--help"], { encoding: "utf8" });
      const { cache } = createRequire(import.meta.url);
      const loaded = Object.keys(cache).filter((path) => /commander|picocolors|cli-table3/.test(path));
      console.log(JSON.stringify([help.startsWith("Usage: tidemark doctor"), loaded]));`;
    expect(await installed.result("program.mjs", text)).toEqual([true, []]);
  });

  it("does not export its inner files", async () => {
    const text = `
      import("tidemark/dist/routing/router.js").then(
        () => console.log('"imported"'),
        ({ code }) => console.log(JSON.stringify(code)),
      );`;
    expect(await installed.result("inner.mjs", text)).toBe("ERR_PACKAGE_PATH_NOT_EXPORTED");
  });

  it("closes its connections, so that a script exits after close()", async () => {
    const text = `
      import { Tidemark } from "tidemark";
      const tidemark = new Tidemark({ primary: "redis://127.0.0.1:1", replicas: ["redis://127.0.0.1:2"] });
      await tidemark.close();
      console.log(JSON.stringify("closed"));`;
    expect(await installed.result("close.mjs", text)).toBe("closed");
  });

  it("gives TypeScript the types of requests, commands and options", async () => {
    await installed.write("tsconfig.json", JSON.stringify(compiler));
    await installed.write("app.mts", app);
    await installed.tool("tsc", ["-p", "tsconfig.json"]);
  });

  it("shows only the session members that apps use", async () => {
    await installed.write("session.mts", shownOfSession);
    await installed.write("tsconfig.json", JSON.stringify({ ...compiler, files: ["session.mts"] }));
    await installed.tool("tsc", ["-p", "tsconfig.json"]);
  });

  it("keeps the types of an app's own req.redis without the augmentation, as docs/express.md shows", async () => {
    const page = await readFile(join(root, "docs/express.md"), "utf8");
    const [, code = ""] = /^```ts\n(.*?)^```/ms.exec(page) ?? [];
    await installed.write("own-request.mts", `${code}${ownRequest}`);
    await installed.write("tsconfig.json", JSON.stringify({ ...compiler, files: ["own-request.mts"] }));
    await installed.tool("tsc", ["-p", "tsconfig.json"]);

    const augmented = code.replace("tidemark/express/no-augmentation", "tidemark/express");
    await installed.write("own-request.mts", augmented);
    await expect(installed.tool("tsc", ["-p", "tsconfig.json"])).rejects.toThrow(
      /Subsequent property declarations must have the same type\. +Property 'redis'/,
    );
  });

  it("compiles every piece of TypeScript in the README and in docs/", async () => {
    const pieces = await piecesOfCode();
    // The test above compiles this page, which declares another `req.redis`.
    const isAlone = (name: string): boolean => name.startsWith("express-");
    const files = pieces.flatMap(({ name, language, code }) =>
      language === "ts" && !isAlone(name) ? [{ name, code }] : [],
    );
    expect(files.map(({ name }) => name)).toContain("commands-1.mts");
    await Promise.all(
      files.map(({ name, code }) =>
        installed.write(name, hasImports.test(code) ? code : `${usualImport}\n${code}`),
      ),
    );
    await installed.write(
      "tsconfig.json",
      JSON.stringify({ ...compiler, files: files.map(({ name }) => name) }),
    );
    await installed.tool("tsc", ["-p", "tsconfig.json"]);
  });

  it("has JavaScript snippets only as parts of a program", async () => {
    const pieces = await piecesOfCode();
    const whole = pieces.filter(({ language, code }) => language !== "ts" && hasImports.test(code));
    expect(whole.map(({ name }) => name)).toEqual([]);
  });
});

const hasImports = /^import /m;
/** Pages that show one call of the constructor leave this out. */
const usualImport = 'import { Tidemark } from "tidemark";';

/** The pieces of code in what people read, each named after its page and its place there. */
async function piecesOfCode(): Promise<{ name: string; language: string; code: string }[]> {
  const docs = (await readdir(join(root, "docs"))).filter((name) => name.endsWith(".md"));
  const pages = ["README.md", ...docs.map((name) => join("docs", name))];
  const pieces = await Promise.all(
    pages.map(async (page) => {
      const text = await readFile(join(root, page), "utf8");
      return [...text.matchAll(/^```(\w+)\n(.*?)^```/gms)].map(([, language = "", code = ""], at) => ({
        name: `${basename(page, ".md").toLowerCase()}-${at + 1}.mts`,
        language,
        code,
      }));
    }),
  );
  return pieces.flat();
}

const compiler = {
  compilerOptions: {
    ...{ target: "es2023", module: "nodenext", lib: ["es2023", "esnext.disposable"] },
    ...{ strict: true, noEmit: true, skipLibCheck: true, types: ["node"] },
  },
  files: ["app.mts"],
};

/** A member too many is an error, and one too few as well. */
const shownOfSession = `
import type { Session } from "tidemark";
export const shown: Record<keyof Session, "shown"> = {
  level: "shown", redis: "shown", at: "shown", monotonicReads: "shown", stale: "shown", reads: "shown", signal: "shown",
  isLive: "shown", wrote: "shown", writing: "shown", token: "shown", sealed: "shown", add: "shown", addSealed: "shown", settled: "shown",
  replicated: "shown",
};
`;

/** Each wrong use is expected to be an error, so that the right ones are not right because all is \`any\`. */
const app = `
import express from "express";
import { createServer } from "node:http";
import type { Redis } from "ioredis";
import { InvalidOptionError, type Consistency, type Session, Tidemark } from "tidemark";
import { bounded, eventual, readYourWrites, strong } from "tidemark/express";
import { nodeRedis } from "tidemark/node-redis";

await using tidemark = new Tidemark({ primary: "redis://a", replicas: ["redis://b", { host: "c" }], waitMs: 5 });
const app = express();
const middleware = readYourWrites(tidemark, { secret: ["0123456789abcdef", "fedcba9876543210"] });
app.use(middleware);

app.get("/cart/:id", strong(), eventual(), bounded(500), async (req, res) => {
  const value: string | null = await req.redis.get(\`cart:\${req.params.id}\`);
  const count: number = await req.redis.at({ maxStalenessMs: 500 }).scard("set");
  const session: Session = req.consistency;
  const token: string = session.token();
  const plain: Redis = req.redis;
  const level: Consistency = session.level;
  // @ts-expect-error a key is needed
  await req.redis.get();
  // @ts-expect-error the value may be null
  const wrong: string = await req.redis.get("key");
  // @ts-expect-error no such level
  session.level = "linearizable";
  // @ts-expect-error the session of a request stays what it is
  req.consistency = session;
  res.json({ value, count, token, level, wrong, status: plain.status });
});

createServer((request, response) => middleware(request, response, () => response.end()));
await tidemark.run(tidemark.session({ token: "", level: "strong" }), () => tidemark.redis.set("key", "value"));
const fields: Record<string, string> = await nodeRedis(tidemark.redis).hGetAll("key");
// @ts-expect-error the names are those of node-redis
await nodeRedis(tidemark.redis).hgetall("key", fields);
// @ts-expect-error an ioredis client is needed
nodeRedis(tidemark);
// @ts-expect-error a bound is a number
bounded("500");
// @ts-expect-error a primary is needed
new Tidemark({ replicas: [] });
console.log(new InvalidOptionError("option", 1, "give 2").code satisfies string);
`;

/** Handlers behind the middleware of docs/express.md. */
const ownRequest = `
import express from "express";

export const app = express().get("/", async (req, res) => {
  const own: Redis = req.redis;
  const value: string | null = await req.userRedis.at("strong").get("key");
  // @ts-expect-error only Tidemark's client has levels
  req.redis.at("strong");
  // @ts-expect-error the session of a request stays what it is
  req.userSession = req.userSession;
  // @ts-expect-error nothing declares it
  req.consistency;
  res.json({ value, status: own.status });
});
`;

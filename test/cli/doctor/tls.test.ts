/** The checks of TLS, on real servers. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checked, finding } from "../../support/cli/inspected.js";
import { type Certificates, makeCertificates } from "../../support/servers/certificates.js";
import { freePort } from "../../support/servers/free-port.js";
import { RedisServer } from "../../support/servers/redis-server.js";

let long: Certificates;
let soon: Certificates;
beforeAll(async () => {
  [long, soon] = await Promise.all([makeCertificates({ days: 90 }), makeCertificates()]);
});

async function secured(certificates: Certificates, ...args: readonly string[]) {
  const port = await freePort();
  const server = await RedisServer.start({ args: [...certificates.args(port), ...args] });
  return { server, url: `rediss://127.0.0.1:${port}`, [Symbol.asyncDispose]: () => server.stop() };
}

describe("The check tls", () => {
  let plain: RedisServer;
  beforeAll(async () => {
    plain = await RedisServer.start();
  });
  afterAll(() => plain.stop());

  it("passes a connection with TLS, and names an open port without", async () => {
    await using one = await secured(long);
    expect(await checked("tls", [one.url], { tlsCa: long.caFile })).toEqual([
      finding("pass", `connected with TLS. Port ${one.server.port} is open`),
    ]);
  });

  it("fails a port that speaks only TLS", async () => {
    await using one = await secured(long);
    const url = one.url.replace("rediss", "redis");
    expect(await checked("tls", [url], { timeoutMs: 1_000 })).toEqual([
      expect.objectContaining({ verdict: "fail", found: "this port speaks only TLS", fix: one.url }),
    ]);
  });

  it("fails a port that speaks no TLS", async () => {
    const url = plain.url.replace("redis", "rediss");
    expect(await checked("tls", [url], { timeoutMs: 1_000 })).toEqual([
      expect.objectContaining({ verdict: "fail", found: "this port does not speak TLS", fix: plain.url }),
    ]);
  });

  it("warns of a connection without TLS to a server that offers it", async () => {
    await using one = await secured(long);
    expect(await checked("tls", [one.server.url])).toEqual([
      expect.objectContaining({ verdict: "warn", fix: one.url }),
    ]);
  });

  it("is skipped where nothing has TLS", async () => {
    expect(await checked("tls", [plain.url])).toEqual([finding("skip", "without TLS")]);
  });

  it("warns of a replica whose replication has no TLS", async () => {
    await using one = await secured(long);
    await one.server.replicate(plain);
    const findings = await checked("tls", [one.url], { tlsCa: long.caFile, timeoutMs: 1_000 });
    expect(findings).toContainEqual(finding("warn", "tls-replication no"));
  });
});

describe("The check certificate", () => {
  it("passes one that is valid for long", async () => {
    await using one = await secured(long);
    expect(await checked("certificate", [one.url], { tlsCa: long.caFile })).toEqual([
      finding("pass", "(for 127.0.0.1) is valid for 8", "days"),
    ]);
  });

  it("warns of one that expires soon", async () => {
    await using one = await secured(soon);
    expect(await checked("certificate", [one.url], { tlsCa: soon.caFile })).toEqual([
      finding("warn", "expires in one day"),
    ]);
  });

  it("fails one whose authority is unknown", async () => {
    await using one = await secured(long);
    expect(await checked("certificate", [one.url])).toEqual([finding("fail", "self-signed", "--tls-ca")]);
  });

  it("fails one that is made for another address", async () => {
    const other = await makeCertificates({ address: "10.9.8.7", days: 90 });
    await using one = await secured(other);
    expect(await checked("certificate", [one.url], { tlsCa: other.caFile })).toEqual([
      finding("fail", "(for 10.9.8.7)", "made for another name"),
    ]);
  });

  it("fails one that has expired", async () => {
    const expired = await makeCertificates({ days: -1 });
    await using one = await secured(expired);
    expect(await checked("certificate", [one.url], { tlsCa: expired.caFile })).toEqual([
      finding("fail", "has expired"),
    ]);
  });
});

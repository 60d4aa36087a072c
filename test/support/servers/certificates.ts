/** A certificate authority and a server's certificate, made for a test. */

import { execFile } from "node:child_process";
import { mkdtemp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { Watchdog } from "../watchdog.js";

const run = promisify(execFile);

export interface Certificates {
  /** The certificate authority that clients trust. */
  readonly ca: string;
  /** The file that holds it. */
  readonly caFile: string;
  /** Arguments that have a Redis server listen for TLS at `port` with the certificate, beside its plain port. */
  readonly args: (port: number) => string[];
}

/** Makes them with openssl, by default for 127.0.0.1 alone and for two days. With a negative number they have expired. */
export async function makeCertificates({ address = "127.0.0.1", days = 2 } = {}): Promise<Certificates> {
  const dir = await mkdtemp(join(Watchdog.ofThisProcess().folder, "tls-"));
  const [key, certificate] = [join(dir, "key.pem"), join(dir, "certificate.pem")];
  const duration = ["-days", String(Math.max(days, 1))];
  const request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", ...duration, "-subj", "/CN=a test"];
  const name = ["-addext", `subjectAltName=IP:${address}`];
  await run("openssl", [...request, ...name, "-keyout", key, "-out", certificate]);
  // A new certificate cannot begin in the past, but one that exists can be signed again with any end.
  if (days < 0) {
    const signing = ["x509", "-in", certificate, "-signkey", key, "-days", String(days)];
    await run("openssl", [...signing, "-out", certificate]);
  }
  const files = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", certificate];
  return {
    ca: await readFile(certificate, "utf8"),
    caFile: certificate,
    args: (port) => ["--tls-port", String(port), "--tls-auth-clients", "no", ...files],
  };
}

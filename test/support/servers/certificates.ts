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
  /** Arguments that have a Redis server listen for TLS at `port` with the certificate, beside its plain port. */
  readonly args: (port: number) => string[];
}

/** Makes them with openssl, for 127.0.0.1 alone. */
export async function makeCertificates(): Promise<Certificates> {
  const dir = await mkdtemp(join(Watchdog.ofThisProcess().folder, "tls-"));
  const [key, certificate] = [join(dir, "key.pem"), join(dir, "certificate.pem")];
  const request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=a test"];
  const name = ["-addext", "subjectAltName=IP:127.0.0.1"];
  await run("openssl", [...request, ...name, "-keyout", key, "-out", certificate]);
  const files = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", certificate];
  return {
    ca: await readFile(certificate, "utf8"),
    args: (port) => ["--tls-port", String(port), "--tls-auth-clients", "no", ...files],
  };
}

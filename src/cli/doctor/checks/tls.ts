/** Checks of TLS: is it used everywhere, and do the certificates hold? */

import { valueIn } from "../../inspection/answer.js";
import type { InspectedServer } from "../../inspection/server.js";
import type { Certificate } from "../../inspection/transport.js";
import type { Check } from "../check.js";
import type { Finding } from "../finding.js";
import { countText } from "../quantities.js";
import { isOpen, openServers, Subject } from "../subject.js";

const dayMs = 86_400_000;
const soonDays = 14;

const faults: ReadonlyMap<string, string> = new Map([
  ["CERT_HAS_EXPIRED", "it has expired. Renew it"],
  ["CERT_NOT_YET_VALID", "it is not valid yet. Check the clocks, or issue it again"],
  ["ERR_TLS_CERT_ALTNAME_INVALID", "it is made for another name. Connect by that name, or issue it again"],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", "it is self-signed. Pass it with --tls-ca, and in your app as tls: { ca }"],
  ...[
    "SELF_SIGNED_CERT_IN_CHAIN",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  ].map((code): [string, string] => [
    code,
    "its authority is unknown here. Pass the authority with --tls-ca, and in your app as tls: { ca }",
  ]),
]);

const transport: Check = {
  id: "tls",
  group: "Security",
  title: "encrypted connections",
  examine(deployment) {
    const servers = [...deployment.servers, ...deployment.sentinels];
    const isMixed = new Set(openServers(deployment).map(isEncrypted)).size > 1;
    return servers.flatMap((server) => transportFinding(new Subject(this, server), server, isMixed) ?? []);
  },
};

function isEncrypted({ options }: InspectedServer): boolean {
  return options.tls !== undefined;
}

function transportFinding(subject: Subject, server: InspectedServer, isMixed: boolean): Finding | undefined {
  const { otherTransport, options } = server;
  const scheme = (name: string): string => `${name}://${server.address}`;
  if (!isOpen(server)) {
    if (otherTransport?.kind === "plain")
      return subject.fail("this port does not speak TLS", {
        why: "TLS was asked for, but the server answers only without TLS at this port. Use its TLS port (tls-port), or connect without TLS.",
        fix: scheme("redis"),
      });
    if (
      otherTransport?.kind === "tls" &&
      options.tls !== undefined &&
      otherTransport.certificate?.fault === undefined
    )
      return subject.fail("the server shows its certificate, and then closes the connection", {
        why: "It probably asks for a certificate of the client. Give one in your app as tls: { cert, key }, or set tls-auth-clients to optional.",
      });
    if (otherTransport?.kind === "tls" && options.tls === undefined)
      return subject.fail("this port speaks only TLS", {
        why: "The connection was tried without TLS. Use rediss:// in the URL.",
        fix: scheme("rediss"),
      });
    return undefined;
  }
  if (!isEncrypted(server)) {
    const tlsPort = valueIn(server.config("tls-port"));
    if (isMixed)
      return subject.warn("this connection has no TLS, but those to other servers have", {
        why: "Passwords and data of this server cross the network unencrypted.",
        fix: scheme("rediss"),
      });
    if (tlsPort !== undefined && tlsPort !== "0" && server.kind === "redis")
      return subject.warn(`this connection has no TLS, but the server offers TLS at port ${tlsPort}`, {
        why: "Passwords and data cross the network unencrypted.",
        fix: `rediss://${options.host ?? "localhost"}:${tlsPort}`,
      });
    return subject.skip("connected without TLS");
  }
  if (server.role === "replica" && valueIn(server.config("tls-replication")) === "no")
    return subject.warn(
      "clients use TLS, but the replication from its primary does not (tls-replication no)",
      {
        why: "All data crosses the network unencrypted between these two servers. Set tls-replication yes on both, and replicate from the TLS port of the primary.",
      },
    );
  const plainPort = valueIn(server.config("port"));
  const also = plainPort === undefined || plainPort === "0" ? "" : `. Port ${plainPort} is open without TLS`;
  return subject.pass(`connected with TLS${also}`);
}

const certificate: Check = {
  id: "certificate",
  group: "Security",
  title: "certificates of the servers",
  examine(deployment) {
    return [...deployment.servers, ...deployment.sentinels].flatMap((server) => {
      const { transport: open, otherTransport: other, options } = server;
      const shown = open?.certificate ?? (other?.kind === "tls" ? other.certificate : undefined);
      if (shown === undefined || options.tls === undefined) return [];
      return [certificateFinding(new Subject(this, server), shown, isOpen(server))];
    });
  },
};

function certificateFinding(
  subject: Subject,
  { fault, validTo, names }: Certificate,
  isOpened: boolean,
): Finding {
  const days = Math.floor((validTo - Date.now()) / dayMs);
  const until = new Date(validTo).toISOString().slice(0, 10);
  const issued = names.length === 0 ? "" : ` (for ${names.slice(0, 5).join(", ")})`;
  if (fault !== undefined) {
    const found = `the certificate${issued} cannot be trusted: ${faults.get(fault) ?? fault}`;
    const why = isOpened
      ? "The connection works only because its options accept any certificate, so anyone in between can read it."
      : "Tidemark does not connect to a server whose certificate cannot be trusted.";
    return isOpened ? subject.warn(found, { why }) : subject.fail(found, { why });
  }
  if (days < soonDays)
    return subject.warn(`the certificate${issued} expires in ${countText(days, "day")}, on ${until}`, {
      why: "After that, no new connection is possible. Renew it.",
    });
  return subject.pass(`the certificate${issued} is valid for ${countText(days, "day")}, until ${until}`);
}

export const tlsChecks: readonly Check[] = [transport, certificate];

/** What carries the commands to a server: TCP or TLS, with which certificate, and between which addresses. */
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type PeerCertificate, TLSSocket } from "node:tls";
import type { RedisOptions } from "ioredis";

/** The certificate that a server shows. */
export interface Certificate {
  /** The names and addresses that it is made for. */
  readonly names: readonly string[];
  /** In milliseconds since 1970. */
  readonly validFrom: number;
  readonly validTo: number;
  /** Why it cannot be trusted, as a code such as `CERT_HAS_EXPIRED`. Undefined if it can. */
  readonly fault: string | undefined;
}

/** An open connection, from both ends. */
export interface Transport {
  /** This end: `10.0.0.9:50000`. */
  readonly local: string | undefined;
  readonly remote: string | undefined;
  /** Undefined without TLS. */
  readonly certificate: Certificate | undefined;
}

/** What a server speaks that refuses connections of the kind that was asked for. */
export type OtherTransport =
  | { readonly kind: "tls"; readonly certificate: Certificate | undefined }
  | { readonly kind: "plain" };

/** What the open connection of a client uses. */
export function transportOf(stream: unknown): Transport | undefined {
  const socket = stream instanceof TLSSocket || isSocket(stream) ? stream : undefined;
  if (socket === undefined) return undefined;
  return {
    local: endOf(socket.localAddress, socket.localPort),
    remote: endOf(socket.remoteAddress, socket.remotePort),
    certificate: socket instanceof TLSSocket ? certificateOf(socket) : undefined,
  };
}

/** Finds out what a server speaks to which a connection with `options` has failed. */
export async function otherTransport(
  options: RedisOptions,
  timeoutMs: number,
): Promise<OtherTransport | undefined> {
  if (options.tls !== undefined && (await answersPlainly(options, timeoutMs))) return { kind: "plain" };
  const certificate = await shownCertificate(options, timeoutMs);
  return certificate === undefined ? undefined : { kind: "tls", certificate };
}

function placeOf({ host = "localhost", port = 6379, path, family }: RedisOptions) {
  return path === undefined ? { host, port, ...(family === undefined ? {} : { family }) } : { path };
}

/** The certificate that a server shows in a TLS handshake, whether or not it can be trusted. */
function shownCertificate(options: RedisOptions, timeoutMs: number): Promise<Certificate | undefined> {
  const { tls, host = "localhost" } = options;
  const given = typeof tls === "object" ? tls : {};
  return settled(timeoutMs, (settle) => {
    const socket = connectTls({ host, ...given, ...placeOf(options), rejectUnauthorized: false });
    socket.once("secureConnect", () => settle(certificateOf(socket)));
    return socket;
  });
}

/** Whether a server answers PING without TLS. */
async function answersPlainly(options: RedisOptions, timeoutMs: number): Promise<boolean> {
  const answered = await settled<true>(timeoutMs, (settle) => {
    const socket = connectTcp(placeOf(options), () => socket.write("PING\r\n"));
    socket.once("data", (bytes: Buffer) => settle(/^[+-][A-Z]+/.test(bytes.toString()) ? true : undefined));
    return socket;
  });
  return answered === true;
}

/** The value that `open` settles with, or undefined when the socket ends or the time is over. */
function settled<Value>(
  timeoutMs: number,
  open: (settle: (value: Value | undefined) => void) => Socket,
): Promise<Value | undefined> {
  return new Promise((resolve) => {
    const settle = (value: Value | undefined): void => {
      clearTimeout(timer);
      resolve(value);
      socket.destroy();
    };
    const timer = setTimeout(() => settle(undefined), timeoutMs);
    const socket = open(settle);
    socket.on("error", () => settle(undefined)).on("close", () => settle(undefined));
  });
}

function certificateOf(socket: TLSSocket): Certificate | undefined {
  const certificate: Partial<PeerCertificate> = socket.getPeerCertificate();
  const { subjectaltname = "", subject, valid_from, valid_to } = certificate;
  if (valid_from === undefined || valid_to === undefined) return undefined;
  const alternatives = subjectaltname.split(/, /).filter((name) => name !== "");
  const names = alternatives.map((name) => name.replace(/^(DNS|IP Address):/, ""));
  const common = subject?.CN;
  const fault: unknown = socket.authorizationError;
  return {
    names: names.length > 0 ? names : [common].flat().filter((name) => name !== undefined),
    validFrom: Date.parse(valid_from),
    validTo: Date.parse(valid_to),
    fault: socket.authorized || !fault ? undefined : codeOf(fault),
  };
}

/** Node gives a code, although its types say that this is an error. */
function codeOf(fault: unknown): string {
  if (fault instanceof Error) return String(Reflect.get(fault, "code") ?? fault.message);
  return String(fault);
}

function endOf(host: string | undefined, port: number | undefined): string | undefined {
  if (host === undefined || port === undefined) return undefined;
  const plain = host.replace(/^::ffff:/, "");
  return plain.includes(":") ? `[${plain}]:${port}` : `${plain}:${port}`;
}

function isSocket(stream: unknown): stream is Socket {
  return typeof stream === "object" && stream !== null && "remoteAddress" in stream && "localPort" in stream;
}

/** Decides who may see a dashboard. */
import type { IncomingHttpHeaders } from "node:http";

/** What the rule for local requests looks at. */
export interface LocalRequest {
  readonly headers: IncomingHttpHeaders;
  readonly httpVersion: string;
  readonly socket: { readonly remoteAddress?: string | undefined };
}

/** Proxies add these. A proxy on the same machine makes every stranger look local. */
const headersOfProxies = [
  ...["forwarded", "via", "x-real-ip"],
  ...["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"],
] as const;

const localAddress = /^(::1|(::ffff:)?127(\.\d{1,3}){3})$/i;
/** The name and an optional port. A page on another site can give its own name the address 127.0.0.1, so the name counts as well. */
const localHost = /^((.+\.)?localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i;

/** Why a request does not come from a program on this machine. Undefined if it does. */
export function objectionTo({ headers, httpVersion, socket }: LocalRequest): string | undefined {
  const { remoteAddress } = socket;
  if (remoteAddress === undefined || !localAddress.test(remoteAddress))
    return "this request comes from another machine";
  const ofProxy = headersOfProxies.find((name) => headers[name] !== undefined);
  if (ofProxy !== undefined) return `this request came through a proxy, because it has the header ${ofProxy}`;
  // Every browser uses a later version. nginx uses this one towards a server if it was not configured otherwise.
  if (httpVersion === "1.0") return "this request came through a proxy, because it uses HTTP/1.0";
  const names = [headers.host, headers[":authority"]].filter((name) => name !== undefined);
  if (names.length === 0 || !names.every((name) => localHost.test(String(name))))
    return "the host in its URL is not localhost, 127.0.0.1 or [::1]";
  return undefined;
}

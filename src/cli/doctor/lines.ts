/** Lines to paste that start the doctor, or redis-cli for a whole cluster. */
import type { InspectedServer } from "../inspection/server.js";

/** `tidemark doctor --cluster redis://10.0.0.1:6379`. It has neither user nor password. */
export function doctorLine(servers: readonly InspectedServer[], ...flags: readonly string[]): string {
  const urls = servers.map(({ address, options }) => `${options.tls ? "rediss" : "redis"}://${address}`);
  return ["tidemark", "doctor", ...flags, ...urls].join(" ");
}

/** `redis-cli --cluster check 10.0.0.1:6379` */
export function clusterLine({ address, options }: InspectedServer, action: "check" | "fix"): string {
  return `redis-cli${options.tls ? " --tls" : ""} --cluster ${action} ${address}`;
}

/** Lines for redis-cli that the user can paste. */
import type { InspectedServer } from "../inspection/server.js";

/**
 * `redis-cli -h 10.0.0.1 -p 6379 CONFIG SET …`. It has neither user nor password, because the user of an app must not change
 * settings. redis-cli takes the password from REDISCLI_AUTH.
 */
export function redisCli(server: InspectedServer, command: string): string {
  const { host = "localhost", port = 6379, path, tls } = server.options;
  const place = path === undefined ? `-h ${host} -p ${port}` : `-s ${path}`;
  return `redis-cli ${place}${tls ? " --tls" : ""} ${command}`;
}

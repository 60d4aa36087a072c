/** Does what the fix of a finding says, as a user would: pastes the line into a shell. */
import { execFile } from "node:child_process";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { findRedisServer } from "../servers/redis-binary.js";

const run = promisify(execFile);

/** Runs a line for redis-cli. `password` goes into the place that the line leaves for one. Throws if Redis refuses the command. */
export async function pasted(line: string, password = ""): Promise<void> {
  if (!line.startsWith("redis-cli ")) throw new Error(`not a line for redis-cli: ${line}`);
  const { path, env } = await findRedisServer();
  const folders = path.includes("/") ? [dirname(path)] : [];
  const { stdout } = await run("sh", ["-c", line.replaceAll(/<password[^>]*>/g, password)], {
    env: {
      ...process.env,
      ...env,
      PATH: [...folders, process.env.PATH ?? ""].join(":"),
      ...(password === "" ? {} : { REDISCLI_AUTH: password }),
    },
  });
  if (/^(ERR|NOPERM|NOAUTH|WRONGPASS|Could not connect)/m.test(stdout)) throw new Error(`${line}: ${stdout}`);
}

/** Which keys a command touches. */
import type { Command } from "ioredis";
export function keysTouchedBy(command: Command): readonly (string | Buffer)[] | undefined {
  const name = command.name.toLowerCase();
  if (/^(eval|evalsha|fcall|sort)/.test(name) || name === "exec") return undefined;
  if (name === "ping" || name === "multi" || name === "publish") return [];
  try {
    const keys = command.getKeys();
    return keys.length === 0 ? undefined : keys;
  } catch {
    return undefined;
  }
}
export function declaredKeysOf(command: Command): readonly (string | Buffer)[] | undefined {
  try {
    const keys = command.getKeys();
    return keys.length === 0 ? undefined : keys;
  } catch {
    return undefined;
  }
}

/** What a server says instead of carrying a command out. */

const refusals =
  /^(READONLY|MOVED|ASK|TRYAGAIN|CLUSTERDOWN|LOADING|MASTERDOWN|NOAUTH|EXECABORT|NOREPLICAS|BUSY)\b/;

/** What a replica of Redis 6 makes of a write in a script; the first part is missing when the script itself hands it on. */
const inScript =
  /^(ERR Error running script \(call to f_[0-9a-f]{40}\): @user_script:\d+: )?@user_script: \d+: -READONLY /;

const stateErrors = /^(LOADING|MASTERDOWN|BUSY|NOAUTH|NOPERM|WRONGPASS|EXECABORT)\b/;

/** Whether a server says so when its state, not the command, is the matter. */
export function isStateError({ message }: Error): boolean {
  return stateErrors.test(message);
}

/** Whether a server says so when a command has changed nothing. */
export function isRefusal(error: Error): boolean {
  return refusals.test(error.message) || isReadOnly(error);
}

/** Whether a server says so when it takes no writes, because it is a replica. */
export function isReadOnly({ message }: Error): boolean {
  return message.startsWith("READONLY ") || inScript.test(message);
}

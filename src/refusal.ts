/** What a server says instead of carrying a command out. */

const refusals =
  /^(READONLY|MOVED|ASK|TRYAGAIN|CLUSTERDOWN|LOADING|MASTERDOWN|NOAUTH|EXECABORT|NOREPLICAS|BUSY|UNBLOCKED)\b/;

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

/** Whether a node of a cluster says so when it does not serve the key's slot, or not now. */
export function isRedirection({ message }: Error): boolean {
  return /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN)\b/.test(message);
}

/**
 * Whether a server with an open connection says so when it was made a replica: it takes no writes, or has no data to show
 * until it has synchronised with its primary.
 */
export function isOfReplica(error: Error): boolean {
  return isReadOnly(error) || /^(LOADING|MASTERDOWN) /.test(error.message);
}

/** Whether a server says so when it takes no writes, because it is a replica. */
export function isReadOnly({ message }: Error): boolean {
  return message.startsWith("READONLY ") || inScript.test(message);
}

/** Whether a server says so when it has not carried out a command because it is a replica now. */
export function isDemotion(error: Error): boolean {
  // Redis ends the wait of those who block when it is made a replica, and aborts a transaction that was queued before.
  return (
    isReadOnly(error) || /^(UNBLOCKED .*instance state changed|EXECABORT .*READONLY )/.test(error.message)
  );
}

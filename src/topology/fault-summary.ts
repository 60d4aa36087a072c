/** Why servers that could name the primary have not named one, in one line. */

/** So many servers are named. */
const most = 5;

/** `faults` are the causes by address. */
export function summarize(faults: ReadonlyMap<string, string>): string {
  const all = [...faults].map(([address, fault]) => `${address}: ${withoutAddress(fault, address)}`);
  const others = all.length - most;
  return [...all.slice(0, most), ...(others > 0 ? [`and ${others} more`] : [])].join("; ");
}

/** Errors of the network and of this package name the address too. */
function withoutAddress(fault: string, address: string): string {
  return fault.replace(`${address}: `, "").replaceAll(` ${address}`, "").replace(/\.$/, "");
}

/** Summarizes in one line why servers have not named a primary. */

/** The most servers that the summary names. */
const most = 5;

/** `faults` holds the causes by address. */
export function summarize(faults: ReadonlyMap<string, string>): string {
  const all = [...faults].map(([address, fault]) => `${address}: ${withoutAddress(fault, address)}`);
  const others = all.length - most;
  return [...all.slice(0, most), ...(others > 0 ? [`and ${others} more`] : [])].join("; ");
}

/** Errors of the network and of this package also contain the address. */
function withoutAddress(fault: string, address: string): string {
  return fault.replace(`${address}: `, "").replaceAll(` ${address}`, "").replace(/\.$/, "");
}

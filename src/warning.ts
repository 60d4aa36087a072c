/** What operators have to be told, in the process's own warnings. */

/** Warns that a server's position cannot be told, and how that is mended where it can be. */
export function warnOfFault(address: string, fault: string): void {
  const isForbidden = fault.startsWith("NOPERM");
  const what = isForbidden ? `${fault}; allow it by the ACL rule +info` : fault;
  process.emitWarning(`Redis at ${address}: ${what}.`, {
    type: "TidemarkWarning",
    code: "TIDEMARK_POSITION_UNKNOWN",
    detail: isForbidden
      ? "While its position cannot be told, a marker key stands for it; without one it is read from only as a primary."
      : "While its position cannot be told, it is read from only as a primary.",
  });
}

/** What operators have to be told, in the process's own warnings. */

/** Warns that a server's position cannot be told, and how that is mended where it can be. */
export function warnOfFault(address: string, fault: string): void {
  const what = fault.startsWith("NOPERM") ? `${fault}; allow it by the ACL rule +info` : fault;
  process.emitWarning(`Redis at ${address}: ${what}.`, {
    type: "TidemarkWarning",
    code: "TIDEMARK_POSITION_UNKNOWN",
    detail:
      "While its position cannot be told, a marker key stands for it; where that is forbidden too, it is read from only as a primary.",
  });
}

/** Tests that prove once more what other tests prove. */

/** False in `npm test`, which sets DOUBLINGS=no to leave them out. All other runs have them. */
export const hasDoublings = process.env.DOUBLINGS !== "no";

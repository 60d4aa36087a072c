/** Commands as lines of words, and what has no line. */

/** Builtin commands without a line: what they do reaches past their own database, or they change the connection. */
export const withoutLine: Readonly<Record<string, string>> = {
  "bgrewriteaof bgsave flushall pfselftest replicaof save shutdown slaveof swapdb":
    "concern the whole server",
  "monitor psubscribe psync punsubscribe replconf restore-asking ssubscribe subscribe sunsubscribe sync":
    "are another kind of connection",
  "asking auth hello quit readonly readwrite reset select unsubscribe": "change the connection",
  "discard exec multi unwatch watch": "belong together",
  "arcount ardel ardelrange arget argetrange argrep arinfo arinsert arlastitems arlen armget armset arnext arop arring":
    "newer than the servers this was tried on",
  "arscan arseek arset backup delex digest hexpireat hgetdel hgetex himport hotkeys hpersist hpexpire hpexpireat hsetex":
    "likewise",
  "increx lmovem msetex sdiffcard sentinel sunioncard trimslots vadd vcard vdim vemb vgetattr vinfo vismember vlinks":
    "likewise",
  "vrandmember vrange vrem vsetattr vsim xackdel xcfgset xdelex xidmprecord xnack": "likewise",
  "blmove blmovem blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin wait waitaof": "block",
};

/** One command a line. */
export function lines(text: string): readonly string[] {
  return text
    .trim()
    .split("\n")
    .map((line) => line.trim());
}

/** What the terminal can show: its width, colours, and characters beyond ASCII. */
import pc from "picocolors";

export type Colors = ReturnType<typeof pc.createColors>;

export interface Terminal {
  /** Whether a person looks at the output, and not a pipe or a file. */
  readonly isInteractive: boolean;
  readonly width: number;
  readonly colors: Colors;
  readonly hasUnicode: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

const defaultWidth = 80;
const minWidth = 20;

/** What `stream` can show. `NO_COLOR`, `FORCE_COLOR`, `COLUMNS` and the locale of `env` count too. */
export function terminalOf(
  stream: { readonly isTTY?: boolean; readonly columns?: number },
  env: Environment,
): Terminal {
  const isInteractive = stream.isTTY === true && env.TERM !== "dumb";
  return {
    isInteractive,
    width: widthOf(stream.columns ?? Number(env.COLUMNS)),
    colors: pc.createColors(hasColors(isInteractive, env)),
    hasUnicode: hasUnicode(env),
  };
}

function widthOf(columns: number): number {
  return Number.isInteger(columns) && columns > 0 ? Math.max(columns, minWidth) : defaultWidth;
}

function hasColors(isInteractive: boolean, { NO_COLOR = "", FORCE_COLOR }: Environment): boolean {
  if (NO_COLOR !== "") return false;
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== "") return FORCE_COLOR !== "0";
  return isInteractive;
}

function hasUnicode({ LC_ALL, LC_CTYPE, LANG }: Environment): boolean {
  return /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || "");
}

/** Puts the page of the dashboard together: `npm run build:page` writes it as a module, so that apps need no file. */
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const folder = new URL("./", import.meta.url);
const link = '<link rel="stylesheet" href="style.css" />';
const script = '<script type="module" src="main.ts"></script>';

/** The module that apps import. */
export const moduleFile = new URL("../src/http/dashboard/page.ts", import.meta.url);

/** The source text of the module with the whole page: one HTML file with one style and one script. */
export async function pageModule(): Promise<string> {
  const [html, style, code] = await Promise.all([
    readFile(new URL("index.html", folder), "utf8"),
    minified("style.css"),
    minified("main.ts"),
  ]);
  if (/<\/script|<!--/i.test(code)) throw new Error("the script of the page would end its own element");
  const styled = replaced(html.replaceAll(/^ +/gm, ""), link, `<style>\n${style}</style>`);
  const page = replaced(styled, script, `<script type="module">\n${code}</script>`);
  const escaped = page.replaceAll(/[\\`]|\$\{/g, "\\$&");
  return [
    "/** Generated from `page/` by `npm run build:page`. Do not edit. */",
    `export const page: string = \`${escaped}\`;`,
    "",
  ].join("\n");
}

/** The page comes with the server code of every app, so it is kept small. Its sources are in this folder. */
async function minified(name: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(name, folder))],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2023",
    charset: "utf8",
    minify: true,
    // Lines of this length keep a change of the module readable.
    lineLimit: 160,
  });
  return outputFiles[0]?.text ?? "";
}

/** Not a pattern, because the replacement may contain `$`. */
function replaced(text: string, from: string, to: string): string {
  const parts = text.split(from);
  if (parts.length !== 2) throw new Error(`page/index.html has to contain ${from} once`);
  return parts.join(to);
}

async function writeModule(): Promise<void> {
  const [before, now] = await Promise.all([readFile(moduleFile, "utf8").catch(() => ""), pageModule()]);
  // An equal module keeps its time, so that nothing else is built again.
  if (before === now) return;
  if (process.env.CI)
    throw new Error("src/http/dashboard/page.ts is out of date: commit what npm run build:page writes");
  await writeFile(moduleFile, now);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeModule();

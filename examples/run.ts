/** `npm run example -- NAME`: what the demo.ts in the folder of that name shows. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

const names = readdirSync(import.meta.dirname).filter((name) =>
  existsSync(join(import.meta.dirname, name, "demo.ts")),
);
const [name = ""] = process.argv.slice(2);
if (!names.includes(name)) {
  console.error(`npm run example -- NAME, where NAME is one of ${names.join(", ")}`);
  process.exit(2);
}
// The demo has its own arguments.
process.argv.splice(2, 1);
await import(`./${name}/demo.ts`);

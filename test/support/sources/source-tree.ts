/** A source tree as the compiler reads it: files, their imports, and the nodes in them. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import ts from "typescript";

export interface Import {
  readonly of: string;
  readonly typeOnly: boolean;
}

export interface Source {
  /** The path in `src` without its ending. */
  readonly name: string;
  readonly text: string;
  readonly tree: ts.SourceFile;
  readonly imports: readonly Import[];
}

/** All TypeScript files below `folder`. */
export function readSources(folder: string): Source[] {
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) =>
    path.endsWith(".ts"),
  );
  return paths.sort().map((path) => {
    const text = readFileSync(join(folder, path), "utf8");
    const name = path.replaceAll("\\", "/").replace(/\.ts$/, "");
    const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
    return { name, text, tree, imports: importsOf(name, tree) };
  });
}

/** Every module that a file names: in imports, in exports, in `import()` and in types. */
function importsOf(name: string, tree: ts.SourceFile): Import[] {
  const found: Import[] = [];
  const add = (module: ts.Node | undefined, typeOnly: boolean) => {
    if (module === undefined || !ts.isStringLiteral(module)) return;
    const local = module.text.startsWith(".");
    const of = local
      ? posix.join(dirname(name), module.text).replace(/\.js$/, "")
      : module.text.replace(/^(?!node:)/, "package:");
    found.push({ of, typeOnly });
  };
  for (const node of nodesOf(tree)) {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, isTypeOnly(node.importClause));
    else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, node.isTypeOnly);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument))
      add(node.argument.literal, true);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], false);
    }
  }
  return found;
}

function isTypeOnly(clause: ts.ImportClause | undefined): boolean {
  if (clause === undefined) return false;
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true;
  const { name, namedBindings } = clause;
  if (name !== undefined || namedBindings === undefined || !ts.isNamedImports(namedBindings)) return false;
  return namedBindings.elements.every((element) => element.isTypeOnly);
}

/** `node` and all below it. */
export function* nodesOf(node: ts.Node): Generator<ts.Node> {
  yield node;
  for (const child of node.getChildren()) yield* nodesOf(child);
}

/** The line of a place in a file, from 1. */
export function lineOf({ tree }: Source, position: number): number {
  return tree.getLineAndCharacterOfPosition(position).line + 1;
}

#!/usr/bin/env node
/** The program `tidemark`: its subcommands, its errors and its exit codes. */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { UsageError, withoutPasswords } from "./arguments/usage-error.js";
import { doctorCommand } from "./doctor/command.js";
import { openTidemark } from "./opened-tidemark.js";
import { topCommand } from "./top/command.js";

const usageExitCode = 2;

const program = new Command("tidemark")
  .description("Looks at Redis or Valkey servers as Tidemark does.")
  .version(versionIn(new URL("../../package.json", import.meta.url)))
  .addCommand(doctorCommand(openTidemark))
  .addCommand(topCommand());
for (const command of [program, ...program.commands])
  command
    .exitOverride()
    .showHelpAfterError(`Try: ${command === program ? "" : "tidemark "}${command.name()} --help`)
    // An argument in the wrong place may be a URL with a password.
    .configureOutput({ outputError: (text, write) => write(withoutPasswords(text)) });

// Warnings of Node and of the Tidemark that is opened for a moment are no part of the report.
process.removeAllListeners("warning");
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // Nobody reads the output any more: a program such as `head` has read enough, or the window of the terminal was closed.
  if (error.code === "EPIPE" || error.code === "EIO") process.exit();
  throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  // commander has printed its own errors, and exits with 0 after --help.
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : usageExitCode;
  else if (error instanceof UsageError) {
    process.stderr.write(`tidemark: ${error.message}\n`);
    process.exitCode = usageExitCode;
  } else throw error;
}

function versionIn(file: URL): string {
  const { version }: { version: string } = JSON.parse(readFileSync(file, "utf8"));
  return version;
}

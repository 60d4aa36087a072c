#!/usr/bin/env node
/** The program `tidemark`: its subcommands, its errors and its exit codes. */
import { Command, CommanderError } from "commander";
import { UsageError } from "./arguments/usage-error.js";
import { doctorCommand } from "./doctor/command.js";
import { openTidemark } from "./opened-tidemark.js";

const usageExitCode = 2;

const program = new Command("tidemark")
  .description("Look at Redis or Valkey servers as Tidemark does.")
  .addCommand(doctorCommand(openTidemark));
for (const command of [program, ...program.commands])
  command.exitOverride().showHelpAfterError("(--help shows all options)");

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

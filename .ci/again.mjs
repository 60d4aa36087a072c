/**
 * Runs test files once more, one at a time, if all that failed in them was to wait for too long: on a loaded machine that
 * need not mean a fault. A wrong answer, a failed assertion or an error outside of tests is never given a second run.
 *
 *   node .ci/again.mjs REPORT LOG COMMAND...
 *
 * REPORT is what vitest's JSON reporter wrote, and gets the outcome; LOG is what was printed. Each test that passed only
 * the second time is named.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";

const [reportPath, logPath, command, ...args] = process.argv.slice(2);
const waitedInVain = /gave up after \d+ ms waiting until|(?:Test|Hook) timed out in \d+ ?ms/;

const report = read(reportPath);
const isLate = ({ failureMessages }) =>
  failureMessages.length > 0 && failureMessages.every((message) => waitedInVain.test(message));
const files = report.testResults.filter(({ status }) => status === "failed");
const failed = files.flatMap(({ name, assertionResults }) =>
  assertionResults.filter(({ status }) => status === "failed").map((test) => ({ file: name, test })),
);

const isOnlyLate =
  files.every(({ assertionResults }) => assertionResults.some(({ status }) => status === "failed")) &&
  failed.length > 0 &&
  failed.every(({ test }) => isLate(test)) &&
  !fs.readFileSync(logPath, "utf8").includes("Unhandled Error");
if (!isOnlyLate) process.exit(1);

const againPath = `${reportPath}.again`;
const names = [...new Set(failed.map(({ file }) => file))];
fs.rmSync(againPath, { force: true });
console.log(`${failed.length} tests waited for too long; their files are run once more, one at a time.`);
const options = [
  "--no-file-parallelism",
  "--reporter=default",
  "--reporter=json",
  `--outputFile=${againPath}`,
];
const { status } = spawnSync(command, [...args, ...names, ...options], { stdio: "inherit" });
if (status !== 0) process.exit(1);

const again = read(againPath).testResults;
const hasPassed = ({ file, test }) => {
  const same = again
    .filter(({ name }) => name === file)
    .flatMap(({ assertionResults }) => assertionResults.filter(({ fullName }) => fullName === test.fullName));
  return same.length > 0 && same.every((one) => one.status === "passed");
};
if (!failed.every(hasPassed)) process.exit(1);
for (const { test } of failed) console.log(`Passed only on the second run: ${test.fullName}`);
report.numPassedTests += failed.length;
report.numFailedTests -= failed.length;
fs.writeFileSync(reportPath, JSON.stringify(report));

function read(path) {
  return JSON.parse(fs.readFileSync(path, "utf8"));
}

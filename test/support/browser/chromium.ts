/** A real Chromium: one on the PATH, else Debian's, unpacked into a folder of the repository. */
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, launch } from "puppeteer-core";
import { fetchFromDebian, hasDebianTools, libraryPath } from "../servers/debian-packages.js";
import { type Program, probeProgram } from "../servers/debian-program.js";
import { Watchdog } from "../watchdog.js";

const onPath = ["chromium", "google-chrome", "chromium-browser"];
/** Chromium without windows. It needs a third of the libraries. */
const shell = "chromium-headless-shell";
const debianPackages = {
  packages: [shell, "chromium-common", "fonts-dejavu-core"],
  libraries: [
    ...["libopenh264-7", "libdouble-conversion3", "libopus0", "libharfbuzz-subset0", "libxnvctrl0"],
    ...["libpulse0", "libsndfile1", "libasyncns0", "libflac12", "libminizip1", "libopenjp2-7", "libogg0"],
    ...["libvorbis0a", "libvorbisenc2", "libmp3lame0", "libmpg123-0", "libnss3", "libnspr4"],
  ],
};
const cacheFolder = fileURLToPath(new URL(`../../../.cache/${shell}`, import.meta.url));

/** Undefined where there is none and none can be fetched. */
export async function findChromium(): Promise<Program | undefined> {
  for (const name of onPath) {
    const found = await probeProgram(name, "--version");
    if (found !== undefined) return found;
  }
  const found = await unpacked(cacheFolder);
  if (found || !(await hasDebianTools())) return found;
  process.stderr.write(`fetching Chromium into .cache/${shell} ...\n`);
  return fetchFromDebian(debianPackages, cacheFolder, unpacked).catch(() => undefined);
}

/** It keeps its data in a temporary folder. Both are gone when this process is, however it ends. */
export async function startChromium({ path, env }: Program): Promise<Browser> {
  const watchdog = Watchdog.ofThisProcess();
  const browser = await launch({
    executablePath: path,
    headless: path.endsWith(shell) ? "shell" : true,
    env: { ...process.env, ...env },
    pipe: true,
    userDataDir: await mkdtemp(join(watchdog.folder, "chromium-")),
    // The sandbox does not work for root, and the tests open only pages of their own.
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"],
  });
  const child = browser.process();
  if (child !== null) watchdog.watch(child);
  return browser;
}

async function unpacked(folder: string): Promise<Program | undefined> {
  const { LD_LIBRARY_PATH = "" } = await libraryPath(folder);
  const [own = ""] = LD_LIBRARY_PATH.split(":");
  return probeProgram(join(folder, "usr/lib/chromium", shell), "--version", {
    // PulseAudio's library looks for another one in a folder of its own.
    LD_LIBRARY_PATH: `${LD_LIBRARY_PATH}:${join(own, "pulseaudio")}`,
    // Fontconfig finds the fonts of the packages there.
    XDG_DATA_HOME: join(folder, "usr/share"),
  });
}

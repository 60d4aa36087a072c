/** The worker's process. It confirms orders until it receives a signal to end. */
import { Tidemark } from "tidemark";
import { startWorker } from "./confirm.js";

const { PRIMARY = "", REPLICAS = "" } = process.env;
const tidemark = new Tidemark({
  primary: PRIMARY,
  replicas: REPLICAS.split(","),
  redis: { maxRetriesPerRequest: null }, // BullMQ's workers wait for as long as it takes
});
const worker = startWorker(tidemark);
await worker.waitUntilReady();
console.log("ready");

process.once("SIGTERM", async () => {
  await worker.close();
  await tidemark.close();
});

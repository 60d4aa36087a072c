/** The ioredis client of a connection that Tidemark uses for itself. */
import { type Callback, type Command, Redis } from "ioredis";
import { outsideRequests, sendInContext } from "../commands/command-tracing.js";
import { areCommandsTraced } from "../commands/tracers.js";
import type { CommandStream } from "./auto-pipeline.js";

/**
 * Sends the commands of users in the contexts in which they were given, and all others outside of all requests: the handshakes of
 * ioredis and the questions of Tidemark. A trace of a request then shows the commands of this request only.
 */
export class OwnClient extends Redis {
  override sendCommand(command: Command, stream?: CommandStream): unknown {
    if (!areCommandsTraced()) return super.sendCommand(command, stream);
    return sendInContext(command, () => super.sendCommand(command, stream));
  }

  /** Connects outside of all requests, because all requests share the connection. */
  override connect(callback?: Callback<void>): Promise<void> {
    return areCommandsTraced() ? outsideRequests(() => super.connect(callback)) : super.connect(callback);
  }
}

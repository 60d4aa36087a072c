/** Groups of servers that are started as a whole or not at all. */

/** Something that has been created and can be started. */
interface Startable<Options> {
  start(options: Options): Promise<void>;
  stop(): Promise<void>;
}

/** Starts `group`; when that fails, what of it has been started is ended. */
export async function started<Options, Group extends Startable<Options>>(
  group: Group,
  options: Options,
): Promise<Group> {
  try {
    await group.start(options);
    return group;
  } catch (error) {
    await group.stop();
    throw error;
  }
}

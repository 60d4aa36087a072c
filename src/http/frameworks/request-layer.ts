/** What handlers and listeners find of a request's sessions without anything being added to it. */
import { IncomingMessage } from "node:http";
import { InvalidOptionError } from "../../errors/errors.js";
import { accessorOf, type Mounted, mountedOn, type Names, named } from "../attached-sessions.js";
import { Layer } from "./prototype-layer.js";

/** What the layer is in front of, also for who changes that later. */
const nodes = IncomingMessage.prototype;

const layer = new Layer(nodes, {
  emit: {
    configurable: true,
    writable: true,
    value(this: IncomingMessage, ...args: [string, ...unknown[]]): boolean {
      // Most events of most requests are nobody's concern.
      const isHeard = nodes.listenerCount.call(this, args[0]) > 0;
      const mounted = isHeard ? mountedOn(this) : undefined;
      return mounted === undefined ? nodes.emit.apply(this, args) : emitIn(mounted, this, args);
    },
  },
});

/** Calls the listeners of `request` in all its sessions. */
function emitIn(mounted: Mounted, request: IncomingMessage, args: [string, ...unknown[]]): boolean {
  let emit = (): boolean => nodes.emit.apply(request, args);
  for (let one: Mounted | undefined = mounted; one !== undefined; one = one.before) {
    const { source, session } = one;
    const inner = emit;
    emit = () => source.run(session, inner);
  }
  return emit();
}

/**
 * Tells of a request whether it needs no properties by these `names`, and no `emit` that runs its listeners in its
 * sessions. Throws an `InvalidOptionError` for names that Node needs.
 */
export function requestsWith(names: Names): (request: IncomingMessage) => boolean {
  const taken = [names.redis, names.consistency];
  for (const name of taken) {
    if (layer.hides(name))
      throw new InvalidOptionError(
        "properties",
        name,
        "give a name that Node has not taken",
        `got "${name}"`,
      );
    layer.add(name, assignable(name));
  }
  const needed = ["emit", ...taken];
  return (request) => layer.serves(request, needed);
}

function assignable(name: string): PropertyDescriptor & ThisType<object> {
  return {
    ...accessorOf(name),
    // Requests of other apps pass here too, and are free to have something else by that name.
    set(value: unknown) {
      if (named(this, name) !== undefined)
        throw new TypeError(
          `The request's ${name} is that of its session: name the session's another way, with properties.`,
        );
      Object.defineProperty(this, name, { configurable: true, enumerable: true, writable: true, value });
    },
  };
}

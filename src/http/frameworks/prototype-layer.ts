/** Members beneath the prototypes that a framework gives to all its requests, or to all its responses. */

/**
 * Express replaces the prototype of each request and response, and every property that is added to one after that, or only
 * asked for, costs V8 a search: adding what a response needs took longer than all else that a middleware does. What is
 * found on a prototype is there already. The layer is put where Express's own prototype ends and Node's begins, so
 * that all apps made by one copy of Express have it, whichever of their prototypes an object has in the meantime.
 */
export class Layer {
  readonly #base: object;
  readonly #members: object;

  /** `base` is Node's prototype. */
  constructor(base: object, members: PropertyDescriptorMap) {
    this.#base = base;
    this.#members = Object.create(base, members);
  }

  /** Whether objects have had something by that name before. */
  hides(name: string): boolean {
    return name in this.#base;
  }

  add(name: string, member: PropertyDescriptor): void {
    if (!Object.hasOwn(this.#members, name)) Object.defineProperty(this.#members, name, member);
  }

  /** Whether `object` finds all of `names` here, with nothing in their way. False where there is no Express. */
  serves(object: object, names: readonly string[]): boolean {
    for (let one = object; one !== this.#members; ) {
      for (const name of names) if (Object.hasOwn(one, name)) return false;
      const next: object | null = Object.getPrototypeOf(one);
      if (next === null) return false;
      if (next === this.#base) return one !== object && this.#putBeneath(one);
      one = next;
    }
    return true;
  }

  /** Whether `object` has the layer beneath it now, whatever else may be in the way. */
  isBeneath(object: object): boolean {
    return Object.prototype.isPrototypeOf.call(this.#members, object);
  }

  #putBeneath(prototype: object): boolean {
    // A class has its own idea of what it extends.
    if (Object.hasOwn(prototype, "constructor")) return false;
    return Reflect.setPrototypeOf(prototype, this.#members);
  }
}

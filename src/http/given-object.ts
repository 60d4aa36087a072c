/** Adds private fields to an object of another library. */

const given: unknown = function given(object: object): object {
  return object;
};

/**
 * A base class whose constructor returns the object it is given, so that a subclass adds its fields to that object.
 *
 * A private field cannot be seen, copied or overwritten by the library that owns the object. A `WeakMap` hides its values just as
 * well, but a small garbage collection takes every value of a `WeakMap` for alive. A value that refers to its key, as a session
 * refers to its request, would then survive, and the request with it.
 */
export const Given = given as new (object: object) => object;

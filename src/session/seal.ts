/** Encrypts and decrypts tokens, so that users can hold them but not change them. */
import { maxTexts, unknownWrite, unsent } from "./token.js";

/** Encrypts tokens before users get them. Only the holder of the secret can make or change such a token. */
export interface Seal {
  seal(token: string): string;
  /** Undefined for anything that this object did not encrypt. */
  open(sealed: unknown): { readonly token: string } | undefined;
}

/**
 * Decrypts the tokens in `sealed`, which are separated by commas. Only the first {@link maxTexts} are decrypted. If there are
 * more, one of the rest may be the token that counts, so the result then includes an unknown write.
 */
export function openedBy(seal: Seal, sealed: string | null | undefined): string[] {
  const texts = typeof sealed === "string" ? sealed.split(",", maxTexts + 1) : [];
  const opened = texts
    .slice(0, maxTexts)
    .flatMap((text) => (text.trim() === unsent ? unknownWrite() : (seal.open(text.trim())?.token ?? [])));
  return texts.length > maxTexts ? [...opened, unknownWrite()] : opened;
}

/** Finds out where the user of a request stands in a rollout, and lets the response remember it. */
import { Bucket, type Membership, membershipOf, type RolloutChoice } from "../rollout/membership.js";
import type { CarrierRequest, CarrierResponse, MembershipCarrier } from "./carriers/carrier.js";
import type { Keyring } from "./keyring.js";

/** Begins the text of a bucket. No token begins with this byte. */
const mark = 0xb0;
const bytes = 3;

/** How an app with one middleware knows its users. */
export interface VisitorSetup<Request> {
  /** The app's own answer. Undefined if the app gives none. */
  readonly choose: ((request: Request) => RolloutChoice) | undefined;
  readonly carriers: readonly MembershipCarrier[];
  readonly keyring: Keyring | undefined;
  /** Called with the error that `choose` or a carrier threw. */
  readonly failed: (error: unknown) => void;
}

/** The user of one request. A class, because V8 may place literals among old objects. */
export class Visitor<Request extends CarrierRequest> {
  readonly #setup: VisitorSetup<Request>;
  /** The bucket that the response has to bring. Undefined if there is none. */
  #assigned: Bucket | undefined;

  constructor(setup: VisitorSetup<Request>) {
    this.#setup = setup;
  }

  /**
   * What is known of the user. A new visitor is unknown until a later request shows that the client has kept the cookie. Otherwise a
   * client that keeps no cookies would be in the rollout by chance with each request.
   */
  membership(request: Request): Membership {
    const { choose, carriers, keyring, failed } = this.#setup;
    try {
      const chosen = membershipOf(choose?.(request));
      if (chosen !== undefined) return chosen;
      for (const carrier of carriers) {
        const bucket = bucketIn(keyring?.open(carrier.read(request))?.token);
        if (bucket !== undefined) return bucket;
      }
      if (carriers.length > 0 && keyring !== undefined) this.#assigned = Bucket.any();
    } catch (error) {
      failed(error);
    }
    return undefined;
  }

  /** Sets the headers of the response that remember a new visitor. */
  carry(request: Request, response: CarrierResponse): void {
    const bucket = this.#assigned;
    const { carriers, keyring, failed } = this.#setup;
    if (bucket === undefined || keyring === undefined) return;
    this.#assigned = undefined;
    try {
      const text = keyring.seal(textOf(bucket));
      for (const carrier of carriers) carrier.write(request, response, text);
    } catch (error) {
      failed(error);
    }
  }
}

function textOf({ index }: Bucket): string {
  return Buffer.from([mark, index >> 8, index & 0xff]).toString("base64url");
}

/** The bucket in a decrypted text. Undefined if the text is something else, such as a token. */
function bucketIn(text: string | undefined): Bucket | undefined {
  const content = Buffer.from(text ?? "", "base64url");
  if (content.length !== bytes || content[0] !== mark) return undefined;
  return new Bucket(content.readUInt16BE(1));
}

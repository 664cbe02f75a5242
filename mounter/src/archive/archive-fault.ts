/** Why an archive is not taken. */
export type ArchiveFaultCode =
  /** It is cut, flipped or made by something else. */
  | "damaged"
  /** Its entries are no tree that could be restored as it says. */
  | "invalid"
  /** It is of a form that this release does not read. */
  | "unsupported"
  /** It is larger than allowed. */
  | "too-large"
  /** It has nothing of the container asked for. */
  | "not-found";

/** An archive that is refused, with one sentence that says where and why. */
export class ArchiveFault extends Error {
  readonly code: ArchiveFaultCode;

  constructor(code: ArchiveFaultCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ArchiveFault";
    this.code = code;
  }
}

/** Why a root cannot be made, in words for the sandbox's owner; thrown by all steps. */
export class RootFault extends Error {
  readonly fault: RootFaultKind;

  constructor(fault: RootFaultKind, message: string) {
    super(message);
    this.name = "RootFault";
    this.fault = fault;
  }
}

/** `corrupt`: a layer is not what its digest says; `unusable`: its content cannot be a root; `disk-full`: no room. */
export type RootFaultKind = "corrupt" | "unusable" | "disk-full";

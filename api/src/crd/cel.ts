/** One entry of `x-kubernetes-validations`: the API server evaluates it on every write. */
export interface CelRule {
  /** CEL; `self` is the value at this place, `oldSelf` the stored one. */
  readonly rule: string;
  readonly message?: string;
  /** CEL that makes the message; it then goes before `message`. */
  readonly messageExpression?: string;
}

/** Rules for `.meta()`, beside the field they speak of. */
export function celRules(...rules: readonly CelRule[]): { readonly "x-kubernetes-validations": readonly CelRule[] } {
  return { "x-kubernetes-validations": rules };
}

/** The member keeps its value from creation on: it is never changed, removed or added later. */
export function immutable(member: string): CelRule {
  return {
    rule: `has(self.${member}) == has(oldSelf.${member}) && (!has(self.${member}) || self.${member} == oldSelf.${member})`,
    message: `${member} cannot be changed, added or removed after the sandbox is created`,
  };
}

/** The member may be added once and then keeps its value. */
export function immutableOnceSet(member: string): CelRule {
  return {
    rule: `!has(oldSelf.${member}) || (has(self.${member}) && self.${member} == oldSelf.${member})`,
    message: `${member} cannot be changed or removed once it is set`,
  };
}

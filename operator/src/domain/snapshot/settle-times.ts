/** A sandbox that is still starting is waited for so long: clients see one run before kubelet says so. */
export const STARTING_MS = 10_000;
/** While the pod of a record is gone, its node is looked at so often. */
export const NODE_LOOK_MS = 15_000;

/**
 * An object that the installation puts into each sandbox namespace last and removes first. Its
 * finalizer belongs to the operator, which ends all sandboxes of the namespace before it lets the
 * object go: so nothing the sandboxes need (the operator, its rights, the fence) goes before them.
 */
export const DRAIN_GUARD = "atoll-drain";
export const DRAIN_FINALIZER = "atoll.run/drain";

/** API group and version of sandboxes. Source: the cluster contract. */
export const SANDBOX_GROUP = "sandbox.isola.run";
export const SANDBOX_VERSION = "v1alpha1";

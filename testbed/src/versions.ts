/** Every version that the testbed is made of. A change builds anew what it concerns, and nothing else. */
export const VERSIONS = {
  /** The last minor version whose kubelet runs on cgroup version 1 without being told to. */
  kubernetes: "v1.34.4",
  /** The gVisor shim of today needs version 2. */
  containerd: "v2.4.2",
  cniPlugins: "v1.9.1",
  coredns: "v1.15.0",
  registry: "v3.1.2",
  kwok: "v0.8.0",
  cyclonus: "v0.5.6",
  versitygw: "v1.8.0",
  fakeGcsServer: "v1.56.1",
  /** Tag of the image of pods' first process; raised with its source. */
  pause: "1",
} as const;

import { API_SERVER_URL, NETWORK, NODE_NAME } from "../layout.ts";

/** A certificate that the cluster's own authority signs. */
export interface CertificateSpec {
  readonly name: string;
  /** In the form of `openssl -subj`; groups are organisations. */
  readonly subject: string;
  readonly alternativeNames: readonly string[];
  /** Whether a kubeconfig of this name is made with it. */
  readonly isUser: boolean;
}

const SERVICE = "kubernetes.default.svc";

export const CERTIFICATES: readonly CertificateSpec[] = [
  {
    name: "apiserver",
    subject: "/CN=kube-apiserver",
    alternativeNames: [
      ...[
        "localhost",
        "kubernetes",
        "kubernetes.default",
        SERVICE,
        `${SERVICE}.${NETWORK.clusterDomain}`,
        NODE_NAME,
      ].map((name) => `DNS:${name}`),
      ...["127.0.0.1", NETWORK.nodeIp, NETWORK.apiServerServiceIp].map((ip) => `IP:${ip}`),
    ],
    isUser: false,
  },
  user("admin", "/O=system:masters/CN=admin"),
  {
    name: "kubelet",
    subject: `/O=system:nodes/CN=system:node:${NODE_NAME}`,
    alternativeNames: [`DNS:${NODE_NAME}`, `IP:${NETWORK.nodeIp}`],
    isUser: true,
  },
  user("kube-controller-manager", "/CN=system:kube-controller-manager"),
  user("kube-scheduler", "/CN=system:kube-scheduler"),
  user("kube-proxy", "/CN=system:kube-proxy"),
];

function user(name: string, subject: string): CertificateSpec {
  return { name, subject, alternativeNames: [`DNS:${name}`], isUser: true };
}

/** A kubeconfig with everything inside; certificates and key as PEM. */
export function renderKubeconfig(user: string, pem: { ca: string; certificate: string; key: string }): string {
  const name = "atoll-testbed";
  const cluster = { server: API_SERVER_URL, "certificate-authority-data": btoa(pem.ca) };
  const credentials = { "client-certificate-data": btoa(pem.certificate), "client-key-data": btoa(pem.key) };
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name, cluster }],
    users: [{ name: user, user: credentials }],
    contexts: [{ name, context: { cluster: name, user } }],
    "current-context": name,
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

import type { Component } from "../component.ts";
import { API_SERVER_URL, BOX, NETWORK, NODE_NAME, PORTS } from "../layout.ts";

const PKI = `${BOX.config}/pki`;
const ETCD_URL = `http://127.0.0.1:${PORTS.etcd}`;

/** The programs of the node, each with what it waits for. */
export function components(): readonly Component[] {
  return [
    etcd(),
    {
      name: "containerd",
      command: ["containerd", "--config", BOX.containerdConfig],
      probe: { kind: "socket", path: BOX.containerdSocket },
      after: [],
    },
    {
      name: "registry",
      command: ["registry", "serve", `${BOX.config}/registry.yaml`],
      probe: { kind: "http", url: `http://127.0.0.1:${PORTS.registry}/v2/` },
      after: [],
    },
    apiServer(),
    controllerManager(),
    scheduler(),
    kubelet(),
    {
      name: "kube-proxy",
      command: ["kube-proxy", `--config=${BOX.config}/kube-proxy.yaml`],
      probe: { kind: "http", url: "http://127.0.0.1:10256/healthz" },
      after: ["kube-apiserver"],
    },
  ];
}

function etcd(): Component {
  return {
    name: "etcd",
    command: [
      "etcd",
      `--name=${NODE_NAME}`,
      "--data-dir=/var/lib/etcd",
      // A machine that loses power loses the testbed anyhow.
      "--unsafe-no-fsync",
      "--quota-backend-bytes=4294967296",
      `--listen-client-urls=${ETCD_URL}`,
      `--advertise-client-urls=${ETCD_URL}`,
      "--listen-peer-urls=http://127.0.0.1:2380",
      "--log-level=warn",
    ],
    probe: { kind: "http", url: `${ETCD_URL}/health` },
    after: [],
  };
}

function apiServer(): Component {
  return {
    name: "kube-apiserver",
    command: [
      "kube-apiserver",
      `--etcd-servers=${ETCD_URL}`,
      `--service-cluster-ip-range=${NETWORK.serviceCidr}`,
      `--advertise-address=${NETWORK.nodeIp}`,
      "--bind-address=0.0.0.0",
      `--secure-port=${PORTS.apiServer}`,
      `--client-ca-file=${PKI}/ca.crt`,
      `--tls-cert-file=${PKI}/apiserver.crt`,
      `--tls-private-key-file=${PKI}/apiserver.key`,
      `--service-account-key-file=${PKI}/sa.pub`,
      `--service-account-signing-key-file=${PKI}/sa.key`,
      `--service-account-issuer=https://kubernetes.default.svc.${NETWORK.clusterDomain}`,
      "--authorization-mode=Node,RBAC",
      "--enable-admission-plugins=NodeRestriction",
      `--kubelet-client-certificate=${PKI}/admin.crt`,
      `--kubelet-client-key=${PKI}/admin.key`,
      `--kubelet-certificate-authority=${PKI}/ca.crt`,
      "--kubelet-preferred-address-types=InternalIP",
      "--allow-privileged=true",
    ],
    probe: {
      kind: "http",
      url: `${API_SERVER_URL}/readyz`,
      certificate: { cert: `${PKI}/admin.crt`, key: `${PKI}/admin.key` },
    },
    after: ["etcd"],
  };
}

/** Clients of the control plane: no leader to elect, and nobody else to leave capacity to. */
const ALONE = ["--leader-elect=false", "--kube-api-qps=500", "--kube-api-burst=1000"] as const;

function controllerManager(): Component {
  return {
    name: "kube-controller-manager",
    command: [
      "kube-controller-manager",
      `--kubeconfig=${PKI}/kube-controller-manager.kubeconfig`,
      ...ALONE,
      "--use-service-account-credentials",
      `--service-account-private-key-file=${PKI}/sa.key`,
      `--root-ca-file=${PKI}/ca.crt`,
      `--cluster-signing-cert-file=${PKI}/ca.crt`,
      `--cluster-signing-key-file=${PKI}/ca.key`,
    ],
    probe: { kind: "http", url: "https://127.0.0.1:10257/healthz" },
    after: ["kube-apiserver"],
  };
}

function scheduler(): Component {
  return {
    name: "kube-scheduler",
    command: ["kube-scheduler", `--kubeconfig=${PKI}/kube-scheduler.kubeconfig`, ...ALONE],
    probe: { kind: "http", url: "https://127.0.0.1:10259/healthz" },
    after: ["kube-apiserver"],
  };
}

function kubelet(): Component {
  return {
    name: "kubelet",
    command: [
      "kubelet",
      `--kubeconfig=${PKI}/kubelet.kubeconfig`,
      `--config=${BOX.config}/kubelet.yaml`,
      `--hostname-override=${NODE_NAME}`,
      `--node-ip=${NETWORK.nodeIp}`,
      `--root-dir=${BOX.kubeletRoot}`,
    ],
    probe: { kind: "http", url: "http://127.0.0.1:10248/healthz" },
    after: ["kube-apiserver", "containerd"],
  };
}

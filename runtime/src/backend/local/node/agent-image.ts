import { AGENT_JOURNAL_DIR, AGENT_SOCKET_PATH } from "../oci.ts";

export interface AgentIdentity {
  readonly agentId: string;
  /** Ed25519 public key of this gateway, base64url: whose tokens the agent accepts. */
  readonly publicKey: string;
  readonly journalBudgetBytes: number;
  readonly pidsLimit: number;
}

/** Environment of the agent; it holds no secret. */
export function agentEnv(identity: AgentIdentity): string[] {
  return [
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    `ATOLL_AGENT_LISTEN=unix:${AGENT_SOCKET_PATH}`,
    `ATOLL_AGENT_ID=${identity.agentId}`,
    `ATOLL_GATEWAY_PUBLIC_KEY=${identity.publicKey}`,
    `ATOLL_JOURNAL_DIR=${AGENT_JOURNAL_DIR}`,
    `ATOLL_JOURNAL_BUDGET_BYTES=${identity.journalBudgetBytes}`,
    `ATOLL_PIDS_LIMIT=${identity.pidsLimit}`,
  ];
}

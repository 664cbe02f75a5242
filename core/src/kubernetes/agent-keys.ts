import { isAgentKey } from "../agent-proof.ts";
import type { Secret } from "./secret.ts";

/** Keys of the two-sided proof between gateways and agents, as the Secret of names.ts's AGENT_KEYS_SECRET holds them. */
export interface AgentKeySet {
  /** What gateways sign tokens with (`agent-token.ts`). */
  readonly gatewayPrivateKey: string;
  /** What agents check tokens by. */
  readonly gatewayPublicKey: string;
  /** What the keys of all agents are derived from (`agent-proof.ts`). */
  readonly agentMasterKey: string;
}

const MEMBERS = ["gatewayPrivateKey", "gatewayPublicKey", "agentMasterKey"] as const;
const BASE64URL = /^[A-Za-z0-9_-]{43,512}$/;

/** The keys in the Secret; undefined while it has none, or not all. */
export function readAgentKeys({ data = {} }: Pick<Secret, "data">): AgentKeySet | undefined {
  const values = MEMBERS.map((member) => plainText(data[member] ?? ""));
  const [gatewayPrivateKey = "", gatewayPublicKey = "", agentMasterKey = ""] = values;
  if (!values.every((value) => BASE64URL.test(value)) || !isAgentKey(agentMasterKey)) return undefined;
  return { gatewayPrivateKey, gatewayPublicKey, agentMasterKey };
}

function plainText(base64: string): string {
  try {
    return atob(base64);
  } catch {
    return "";
  }
}

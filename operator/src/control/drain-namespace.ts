import type { Clock } from "#core/clock.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { DRAIN_FINALIZER } from "#core/kubernetes/drain-guard.ts";
import { CONFIG_MAPS, SANDBOXES } from "#core/kubernetes/resources.ts";
import type { Reconcile } from "./ports.ts";

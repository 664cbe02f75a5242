import type { Clock } from "#core/clock.ts";
import type { SetupContext, SetupStep, StepProgress } from "./setup/step.ts";

/** What happens while steps run; `step` is the step's name. */
export type StepEvent =
  | { readonly kind: "present"; readonly step: string; readonly title: string; readonly reason?: string }
  | { readonly kind: "start"; readonly step: string; readonly title: string; readonly reason?: string }
  | {
      readonly kind: "progress";
      readonly step: string;
      readonly title: string;
      readonly elapsedMs: number;
      readonly progress: StepProgress;
    }
  | { readonly kind: "done"; readonly step: string; readonly title: string; readonly elapsedMs: number }
  | {
      readonly kind: "failed";
      readonly step: string;
      readonly title: string;
      readonly elapsedMs: number;
      readonly error: unknown;
    };

/** Runs each step that says it is needed, in order; the first failure ends the run and is thrown again. */
export async function runSteps(
  steps: readonly SetupStep[],
  context: Omit<SetupContext, "progress">,
  report: { clock: Clock; emit: (event: StepEvent) => void },
): Promise<void> {
  for (const step of steps) {
    context.signal.throwIfAborted();
    await runStep(step, context, report);
  }
}

async function runStep(
  step: SetupStep,
  context: Omit<SetupContext, "progress">,
  { clock, emit }: { clock: Clock; emit: (event: StepEvent) => void },
): Promise<void> {
  const startedMs = clock.now();
  const base = { step: step.name, title: step.title };
  const elapsedMs = (): number => clock.now() - startedMs;
  const full: SetupContext = {
    ...context,
    log: context.log.child({ step: step.name }),
    progress: (progress) => emit({ kind: "progress", ...base, elapsedMs: elapsedMs(), progress }),
  };
  try {
    const { needed, reason } = await step.check(full);
    const why = reason === undefined ? {} : { reason };
    if (!needed) return emit({ kind: "present", ...base, ...why });
    emit({ kind: "start", ...base, ...why });
    await step.run(full);
    emit({ kind: "done", ...base, elapsedMs: elapsedMs() });
  } catch (error) {
    emit({ kind: "failed", ...base, elapsedMs: elapsedMs(), error });
    throw error;
  }
}

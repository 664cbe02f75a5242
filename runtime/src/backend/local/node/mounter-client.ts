import { normalize } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  MOUNTER_CALLS,
  MOUNTER_PATHS,
  MounterLine,
  type MounterAnswer,
  type MounterAsk,
  type MounterFault,
  type MounterVerb,
} from "#api/mounter-channel.ts";
import { backoffMs } from "#core/backoff.ts";
import type { AgentFetch, Call } from "#runtime/backend/port.ts";
import { orAborted } from "#runtime/or-aborted.ts";
import { MounterError, type HeldArchive, type Mounter, type WriteCall } from "../mounter.ts";

/** The program behind the channel. */
export interface MounterProgram {
  /** Resolves with the way to it when it answers. */
  ready(signal: AbortSignal): Promise<AgentFetch>;
  close(): Promise<void>;
}

interface Hooks {
  readonly onPlaced?: (archive: MounterAnswer<"hold">) => void;
  readonly onProgress?: WriteCall["onProgress"];
  readonly onAsked?: (fetch: AgentFetch) => Promise<void>;
}

interface Attempt {
  readonly fetch: AgentFetch;
  readonly signal: AbortSignal;
}

const MOST_TRIES = 6;
const PAUSE = { firstMs: 50, mostMs: 2_000 };
const MOST_LINE_CHARS = 32 << 20;

export interface MounterClientDeps {
  readonly random: () => number;
  /** The mounter's own folder: no other file is ever taken from it. */
  readonly dir: string;
}

/** The mounter by its channel. Each request is repeated when its program ends in the middle. */
export function createMounterClient(program: MounterProgram, { random, dir }: MounterClientDeps): Mounter {
  /** True for what says nothing of the request: its end was not heard. */
  async function persist<T>(call: Call, work: (attempt: Attempt) => Promise<T>, sure: () => boolean): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      const fetch = await program.ready(call.signal);
      try {
        return await work({ fetch, signal: call.signal });
      } catch (error) {
        call.signal.throwIfAborted();
        if (error instanceof MounterError || error instanceof Refusal) throw error;
        if (tries >= MOST_TRIES) throw lost(sure() ? "unavailable" : "unsure", error);
        call.log.warn("The mounter was lost in the middle of a request, asking again", { error });
        await sleep(backoffMs(tries, PAUSE, random), undefined, { signal: call.signal });
      }
    }
  }

  const ask = <V extends MounterVerb>(verb: V, what: MounterAsk<V>, call: Call): Promise<MounterAnswer<V>> =>
    persist(call, (attempt) => askOnce(attempt, verb, what), always);

  async function write(order: MounterAsk<"write">, call: WriteCall): Promise<MounterAnswer<"write">> {
    let isAllowed = false;
    const { writeId } = order.facts;
    const onProgress: WriteCall["onProgress"] = (progress) => call.onProgress(progress);
    const once = (attempt: Attempt): Promise<MounterAnswer<"write">> => {
      const onAsked = async (): Promise<void> => {
        const untilMs = await orAborted(call.beforePublish(), call.signal).catch((error: unknown) => {
          throw new Refusal(error);
        });
        isAllowed = true;
        await askOnce(attempt, "publish", { writeId, untilMs });
      };
      return askOnce(attempt, "write", order, { onProgress, onAsked });
    };
    try {
      return await persist(call, once, () => !isAllowed);
    } catch (error) {
      throw error instanceof Refusal ? error.cause : error;
    }
  }

  async function hold(wanted: MounterAsk<"hold">, call: Call): Promise<HeldArchive> {
    const held = await persist(call, (attempt) => holdOnce(attempt, wanted), always);
    if (normalize(held.path).startsWith(`${dir}/`)) return held;
    held.release();
    throw lost("other", new Error(`The mounter answered with ${held.path}, which is not in its folder`));
  }

  return {
    find: (place, call) => ask("find", place, call),
    write,
    hold,
    remove: async (what, call) => void (await ask("remove", what, call)),
    collect: (what, call) => ask("collect", what, call),
    close: () => program.close(),
  };
}

/** One request, to its end. */
export async function askOnce<V extends MounterVerb>(
  attempt: Attempt,
  verb: V,
  what: MounterAsk<V>,
  hooks: Hooks = {},
): Promise<MounterAnswer<V>> {
  // Whatever ends this ends the request too.
  const leaving = new AbortController();
  const signal = AbortSignal.any([attempt.signal, leaving.signal]);
  try {
    const lines = await send({ ...attempt, signal }, verb, what);
    return await endOf(lines, verb, hooks, attempt);
  } finally {
    leaving.abort(LEFT);
  }
}

/** The request stays open until what it holds is released. */
async function holdOnce(attempt: Attempt, wanted: MounterAsk<"hold">): Promise<HeldArchive> {
  const leaving = new AbortController();
  const release = (): void => leaving.abort(LEFT);
  const onAbort = (): void => release();
  attempt.signal.addEventListener("abort", onAbort, { once: true });
  try {
    const lines = await send({ ...attempt, signal: leaving.signal }, "hold", wanted);
    const placed = Promise.withResolvers<MounterAnswer<"hold">>();
    const ended = endOf(lines, "hold", { onPlaced: placed.resolve }, attempt);
    void ended.then(placed.resolve, (error: unknown) => placed.reject(error));
    const archive = await placed.promise;
    attempt.signal.throwIfAborted();
    const whole = ended.then(
      () => undefined,
      (error: unknown) => {
        throw error instanceof MounterError ? error : lost("unavailable", error);
      },
    );
    // Whoever needs all of it waits for it.
    whole.catch(() => undefined);
    return { ...archive, whole, release };
  } catch (error) {
    release();
    throw error;
  } finally {
    attempt.signal.removeEventListener("abort", onAbort);
  }
}

const LEFT = "the request is over";
const always = (): boolean => true;

/** Whoever asked does not want it any more; the cause is what is to be thrown. */
class Refusal extends Error {
  constructor(cause: unknown) {
    super("The write is not wanted any more", { cause });
  }
}

async function send<V extends MounterVerb>({ fetch, signal }: Attempt, verb: V, what: MounterAsk<V>) {
  const request = new Request(`http://mounter${MOUNTER_PATHS[verb]}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(what),
    signal,
  });
  const response = await fetch(request);
  if (response.status === 200 && response.body !== null) return linesOf(response.body);
  throw new MounterError({
    code: "other",
    reason: "DumpFailed",
    message: `The mounter of this machine refused a request: ${(await response.text()).slice(0, 500)}`,
  });
}

async function endOf<V extends MounterVerb>(
  lines: AsyncGenerator<string, void, undefined>,
  verb: V,
  { onPlaced, onProgress, onAsked }: Hooks,
  { fetch }: Attempt,
): Promise<MounterAnswer<V>> {
  for (let next = await lines.next(); next.done !== true; next = await lines.next()) {
    const line = MounterLine.parse(JSON.parse(next.value));
    if (line.line === "fault") throw new MounterError(line.fault);
    if (line.line === "end") return MOUNTER_CALLS[verb].answer.parse(line.answer) as MounterAnswer<V>;
    if (line.line === "asked") await onAsked?.(fetch);
    else if (line.line === "placed") onPlaced?.(line.archive);
    else onProgress?.(line.progress);
  }
  throw new Error("The mounter's answer was cut");
}

/** Whole lines; what stands behind the last line's end is cut. */
async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = "";
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    rest += decoder.decode(read.value, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > MOST_LINE_CHARS) throw new RangeError("The mounter's answer is too large");
    yield* lines;
  }
}

function lost(code: MounterFault["code"], cause: unknown): MounterError {
  const message = "The mounter of this machine ends again and again; the server's log has the reason.";
  return new MounterError({ code, reason: "DumpFailed", message }, { cause });
}

/** Structured log: info only for state changes, error once per failure. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same log with these fields on each line. */
  child(fields: LogFields): Log;
}

export type LogFields = Readonly<Record<string, unknown>>;
export type LogLevel = "debug" | "info" | "warn" | "error";

const ORDER: readonly LogLevel[] = ["debug", "info", "warn", "error"];
const SECRET = /authorization|token|secret|password|api[-_]?key|credential|^env$/i;

/** JSON lines to `write`; values under secret-looking keys are replaced, errors keep message, stack and cause. */
export function createLog(
  level: LogLevel,
  write: (line: string) => void,
  now: () => number,
  base: LogFields = {},
): Log {
  const at =
    (lineLevel: LogLevel) =>
    (message: string, fields: LogFields = {}): void => {
      if (ORDER.indexOf(lineLevel) < ORDER.indexOf(level)) return;
      const time = new Date(now()).toISOString();
      write(JSON.stringify({ time, level: lineLevel, message, ...base, ...fields }, redact));
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (fields) => createLog(level, write, now, { ...base, ...fields }),
  };
}

/** A log that keeps nothing. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
};

function redact(key: string, value: unknown): unknown {
  if (SECRET.test(key) && value !== undefined) return "[redacted]";
  if (value instanceof Error) {
    return { name: value.name, message: value.message, stack: value.stack, cause: value.cause };
  }
  return value;
}

import { Gauge, type Registry } from "prom-client";

/** A number that is asked for when somebody looks. */
export function gauge(registry: Registry, name: string, { help, read }: { help: string; read: () => number }): void {
  const made: Gauge = new Gauge({ name, help, registers: [registry], collect: () => made.set(read()) });
}

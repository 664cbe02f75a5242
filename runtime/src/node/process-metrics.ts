import { readdirSync } from "node:fs";
import process from "node:process";
import { Counter, Gauge, type Registry } from "prom-client";
import { gauge } from "./gauge.ts";

const MICROSECONDS = 1e6;
const OPEN_FILES = "/proc/self/fd";

/**
 * The process under the names that all Prometheus clients use. The library's own collectors cannot be
 * chosen one by one: others of them watch the event loop and each collection of garbage all the time,
 * and mean something else on each runtime.
 */
export function showProcess(registry: Registry): void {
  const registers = [registry];
  const seconds = (name: string, help: string, read: (usage: NodeJS.CpuUsage) => number): void => {
    const made: Counter = new Counter({
      name,
      help,
      registers,
      collect() {
        made.reset();
        made.inc(read(process.cpuUsage()) / MICROSECONDS);
      },
    });
  };
  seconds("process_cpu_user_seconds_total", "Processor time in user mode.", ({ user }) => user);
  seconds("process_cpu_system_seconds_total", "Processor time in the kernel.", ({ system }) => system);
  seconds("process_cpu_seconds_total", "Processor time.", ({ user, system }) => user + system);
  gauge(registry, "process_resident_memory_bytes", {
    help: "Memory that is resident.",
    read: () => process.memoryUsage().rss,
  });
  new Gauge({
    name: "process_start_time_seconds",
    help: "When the process began, since the Unix epoch.",
    registers,
  }).set(Date.now() / 1000 - process.uptime());
  gauge(registry, "process_open_fds", {
    help: "Files and connections that are open; 0 where the system does not tell.",
    read: countOpenFiles,
  });
}

function countOpenFiles(): number {
  try {
    return readdirSync(OPEN_FILES).length;
  } catch {
    return 0;
  }
}

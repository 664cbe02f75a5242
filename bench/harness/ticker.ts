/** Makes the container this dirty, below /root. */
export function dirtyCommand(bytes: number): readonly string[] {
  return ["/bin/sh", "-c", `head -c ${bytes} /dev/urandom > /root/dirty && sync`];
}

/**
 * A workload that writes a file, renames it and reads it back, over and over, until there is a file
 * `stop`. Says then how long its longest pass took, in milliseconds: how long it was held up.
 */
export const TICKER: readonly string[] = [
  "/bin/bash",
  "-c",
  `cd /root; most=0; before=$EPOCHREALTIME
  until [ -e stop ]; do
    echo $before > tick.new && mv tick.new tick && read -r line < tick
    now=$EPOCHREALTIME; took=$((\${now/./} - \${before/./})); before=$now
    if [ $took -gt $most ]; then most=$took; fi
  done
  rm stop; echo $((most / 1000))`,
];
export const STOP_TICKER = ["/bin/touch", "/root/stop"] as const;

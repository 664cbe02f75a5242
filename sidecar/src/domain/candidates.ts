/**
 * The programs to try for `args[0]`, in order, as a shell's `exec` would: a name with a slash
 * is itself, another is looked for along PATH (an empty part is the working directory).
 * Without PATH there are none, and the shell finds its own way.
 */
export function programCandidates(program: string, path: string | undefined): string[] {
  if (program === "") return [];
  if (program.includes("/")) return [program];
  if (path === undefined || path === "") return [];
  return path.split(":").map((part) => (part === "" ? `./${program}` : `${part}/${program}`));
}

/**
 * What runs when no candidate could be executed: the container's own shell tries again, and
 * gives its own message and exit code (127 not found, 126 not executable), or runs a script
 * that names no interpreter.
 */
export function shellFallback(args: readonly string[]): string[] {
  return ["/bin/sh", "-c", 'exec "$@"', "sh", ...args];
}

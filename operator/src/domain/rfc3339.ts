/** A moment as Kubernetes writes it: UTC, whole seconds, the fraction dropped. */
export function formatTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, "Z");
}

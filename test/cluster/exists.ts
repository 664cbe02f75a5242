import { isNotFound } from "#core/kubernetes/kube-error.ts";

/** Whether the API server has what is read, or lists it at all. */
export async function exists(reading: Promise<unknown>): Promise<boolean> {
  return reading.then(
    () => true,
    (error: unknown) => {
      if (isNotFound(error)) return false;
      throw error;
    },
  );
}

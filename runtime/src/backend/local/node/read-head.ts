import { open } from "node:fs/promises";

/** The beginning of a text file, at most so many bytes, however large it is; nothing of one that is not there. */
export async function readHead(path: string, maxBytes: number): Promise<string> {
  const file = await open(path, "r").catch(() => undefined);
  if (file === undefined) return "";
  try {
    const { bytesRead, buffer } = await file.read(new Uint8Array(maxBytes), 0, maxBytes, 0);
    return new TextDecoder().decode(buffer.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}

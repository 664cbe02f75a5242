/** Up to `maxBytes` of a body; the rest is left, and a break in it says no more than its absence. */
export async function readText({ body }: Response, maxBytes: number): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  try {
    for await (const chunk of body ?? []) {
      size += chunk.length;
      text += decoder.decode(chunk, { stream: true });
      if (size > maxBytes) break;
    }
  } catch {
    return "";
  }
  return text;
}

/** Undefined for what is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

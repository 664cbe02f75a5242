// oxlint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]+/g;

/** Text of a foreign program on one line: control characters would move the cursor. */
export function oneLine(text: string): string {
  return text.replaceAll(CONTROLS, " ");
}

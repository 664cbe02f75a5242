/**
 * Names in containers are bytes, not text: a sandbox chooses them. They are kept as byte strings, one
 * character of 0 to 255 for each byte.
 */

const MOST_SHOWN_CHARACTERS = 200;

/** A byte string for people: text where it is text, everything else escaped, cut when it is long. */
export function showBytes(text: string): string {
  const cut = text.length > MOST_SHOWN_CHARACTERS ? text.slice(0, MOST_SHOWN_CHARACTERS) : text;
  const decoded = new TextDecoder().decode(Uint8Array.from(cut, (character) => character.charCodeAt(0)));
  // What is no text is shown byte by byte; also a character that the cut has split.
  const shown = decoded.includes("\ufffd")
    ? cut.replace(/[^ !#-[\]-~]/g, escaped)
    : decoded.replace(/[\p{C}"\\]/gu, escaped);
  return cut === text ? shown : `${shown}...`;
}

/** The path of an entry as its container knows it: `./a/b` is `/a/b`. */
export function showPath(path: string): string {
  return showBytes(path.startsWith("./") ? path.slice(1) : path);
}

function escaped(character: string): string {
  if (character === '"' || character === "\\") return `\\${character}`;
  const code = character.codePointAt(0) ?? 0;
  return code <= 0xff ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
}

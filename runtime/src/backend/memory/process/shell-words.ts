/** A simple command with its redirections, and how the one before decides whether it runs. */
export interface ShellCommand {
  readonly when: "always" | "success" | "failure";
  readonly words: readonly string[];
  readonly redirects: readonly Redirect[];
  readonly background: boolean;
}

/** `source` is the descriptor; `to` a file or, after `&`, another descriptor. */
export interface Redirect {
  readonly source: 0 | 1 | 2;
  readonly mode: "read" | "write" | "append" | "duplicate";
  readonly to: string;
}

const TOKEN = /\s*?(\n|&&|\|\||[;&]|[012]?(?:>>|>&|>|<)|(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s;&|<>'"\\])+)|[ \t]+/gy;

/** Splits a script of the small shell: words, quotes, `$NAME`, `;`, `&&`, `||`, `&` and redirections; nothing else. */
export function parseScript(script: string, expand: (name: string) => string): () => ShellCommand | undefined {
  const tokens = tokenize(script);
  let at = 0;
  return () => {
    const next = nextCommand(tokens, at, expand);
    at = next.at;
    return next.command;
  };
}

function tokenize(script: string): string[] {
  TOKEN.lastIndex = 0;
  const tokens: string[] = [];
  while (TOKEN.lastIndex < script.length) {
    const from = TOKEN.lastIndex;
    const match = TOKEN.exec(script);
    if (match === null) throw new SyntaxError(`Cannot read the script at "${script.slice(from, from + 20)}"`);
    if (match[1] !== undefined) tokens.push(match[1]);
  }
  return tokens;
}

function nextCommand(tokens: readonly string[], start: number, expand: (name: string) => string) {
  let at = start;
  let when: ShellCommand["when"] = "always";
  const words: string[] = [];
  const redirects: Redirect[] = [];
  for (; at < tokens.length; at += 1) {
    const token = tokens[at] ?? "";
    const redirect = /^([012]?)(>>|>&|>|<)$/.exec(token);
    if (redirect !== null) {
      at += 1;
      redirects.push(toRedirect(redirect, expandWord(tokens[at] ?? "", expand)));
    } else if (/^(\n|;|&&|\|\||&)$/.test(token)) {
      if (words.length > 0)
        return { at: token === "&" ? at + 1 : at, command: { when, words, redirects, background: token === "&" } };
      when = token === "&&" ? "success" : token === "||" ? "failure" : "always";
    } else {
      words.push(expandWord(token, expand));
    }
  }
  return { at, command: words.length === 0 ? undefined : { when, words, redirects, background: false } };
}

function toRedirect([, source = "", operator = ""]: RegExpExecArray, to: string): Redirect {
  const mode = ({ "<": "read", ">": "write", ">>": "append", ">&": "duplicate" } as const)[operator as "<"];
  const descriptor = source === "" ? (operator === "<" ? 0 : 1) : Number(source);
  return { source: descriptor as 0 | 1 | 2, mode, to };
}

function expandWord(token: string, expand: (name: string) => string): string {
  const variables = (text: string): string =>
    text.replace(/\$(?:\{(\w+)\}|(\w+|[?$]))/g, (_, braced: string | undefined, plain: string | undefined) =>
      expand(braced ?? plain ?? ""),
    );
  return token.replace(/'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)|([^'"\\]+)/gs, (_, single, double, escaped, plain) => {
    if (single !== undefined) return single;
    if (double !== undefined) return variables(double).replace(/\\([\\"$`])/g, "$1");
    return escaped ?? variables(plain);
  });
}

import type { OpenApiDocument } from "./isola/openapi.ts";

/** The parts of an operation that the page shows; the document's own type is too wide to walk. */
interface Operation {
  readonly operationId?: string;
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly {
    name: string;
    in: string;
    required?: boolean;
    description?: string;
    schema?: unknown;
  }[];
  readonly requestBody?: { content: Record<string, { schema?: unknown }> };
  readonly responses: Record<string, { description: string; content?: Record<string, { schema?: unknown }> }>;
}

const METHODS = ["get", "post", "put", "delete"] as const;

export const REFERENCE_STYLE = `
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
code, pre { font: 0.9em ui-monospace, monospace; }
pre { overflow-x: auto; border: 1px solid var(--line); border-radius: 4px; padding: 0.5rem; }
details { border-top: 1px solid var(--line); padding: 0.5rem 0; }
summary { cursor: pointer; }
summary b { display: inline-block; min-width: 4.5rem; font-family: ui-monospace, monospace; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; border-top: 1px solid var(--line); padding: 0.25rem 0.5rem; }
`;

/** The API reference as one page of HTML: no script, nothing loaded from anywhere. */
export function referencePage(document: OpenApiDocument): string {
  const { title, version, description = "" } = document.info;
  const tags = (document.tags ?? []).map(({ name }) => tagSection(document, name)).join("");
  const schemas = Object.entries(document.components.schemas ?? {}).map(([name, schema]) =>
    schemaSection(name, schema),
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title><style>${REFERENCE_STYLE}</style></head>
<body><h1>${escapeHtml(title)} ${escapeHtml(version)}</h1><p>${escapeHtml(description)}</p>
<p>The same as data: <a href="openapi.json">openapi.json</a>.</p>
${tags}<h2>Schemas</h2>${schemas.join("")}</body></html>`;
}

function tagSection(document: OpenApiDocument, tag: string): string {
  const operations = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    METHODS.flatMap((method) => {
      const operation = item[method] as Operation | undefined;
      return operation?.tags?.includes(tag) ? [operationSection(method, path, operation)] : [];
    }),
  );
  return `<h2>${escapeHtml(tag)}</h2>${operations.join("")}`;
}

function operationSection(method: string, path: string, operation: Operation): string {
  const { summary = "", description = "", parameters = [], requestBody } = operation;
  const rows = parameters.map((parameter) =>
    row([
      `<code>${escapeHtml(parameter.name)}</code>`,
      parameter.in + (parameter.required ? ", required" : ""),
      schemaText(parameter.schema),
      escapeHtml(parameter.description ?? ""),
    ]),
  );
  const bodies = Object.entries(requestBody?.content ?? {}).map(([type, { schema }]) =>
    row([`<code>${type}</code>`, "body", schemaText(schema), ""]),
  );
  const answers = Object.entries(operation.responses).map(([status, { description: text, content = {} }]) =>
    row([
      `<code>${status}</code>`,
      escapeHtml(text),
      Object.entries(content)
        .map(([type, { schema }]) => `<code>${type}</code> ${schemaText(schema)}`)
        .join("<br>"),
    ]),
  );
  return `<details id="${escapeHtml(operation.operationId ?? "")}"><summary><b>${method.toUpperCase()}</b><code>${escapeHtml(path)}</code> ${escapeHtml(summary)}</summary>
<p>${escapeHtml(description)}</p><table>${[...rows, ...bodies].join("")}</table><h4>Answers</h4><table>${answers.join("")}</table></details>`;
}

function schemaSection(name: string, schema: unknown): string {
  return `<details id="schema-${escapeHtml(name)}"><summary><code>${escapeHtml(name)}</code></summary><pre>${escapeHtml(JSON.stringify(schema, undefined, 2))}</pre></details>`;
}

function schemaText(schema: unknown): string {
  const reference = (schema as { $ref?: string } | undefined)?.$ref?.split("/").at(-1);
  if (reference !== undefined) return `<a href="#schema-${escapeHtml(reference)}">${escapeHtml(reference)}</a>`;
  return schema === undefined ? "" : `<code>${escapeHtml(JSON.stringify(schema))}</code>`;
}

function row(cells: readonly string[]): string {
  return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

import { sha256 } from "#core/ids.ts";
import { answer } from "../answer.ts";
import type { Gateway } from "../gateway.ts";
import { openApiDocument } from "./isola/openapi.ts";
import { REFERENCE_STYLE, referencePage } from "./reference-page.ts";

/** `/openapi.json` and `/docs`, rendered from the routes bound before; made at the first request. */
export function documentRoutes(app: Gateway, version: string): void {
  let json: string | undefined;
  let page: Promise<{ html: string; policy: string }> | undefined;
  app.get("/openapi.json", (c) => {
    json ??= JSON.stringify(openApiDocument(app, version));
    return answer(c, 200, json, { "Content-Type": "application/json" });
  });
  app.get("/docs", async (c) => {
    page ??= renderPage(app, version);
    const { html, policy } = await page;
    return answer(c, 200, html, { "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy });
  });
}

async function renderPage(app: Gateway, version: string): Promise<{ html: string; policy: string }> {
  const digest = btoa(String.fromCharCode(...(await sha256(REFERENCE_STYLE))));
  const policy = `default-src 'none'; style-src 'sha256-${digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
  return { html: referencePage(openApiDocument(app, version)), policy };
}

import type { Gateway } from "../../gateway.ts";

/** The OpenAPI 3.1 document of the routes bound so far. */
export function openApiDocument(app: Gateway, version: string) {
  const document = app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Atoll Sandbox API",
      version,
      description:
        "Secure, disposable computers for AI agents and other untrusted code. Compatible with the Isola API 0.7.0.",
      license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" },
    },
    servers: [{ url: "/" }],
    security: [{}, { apiKey: [] }],
    tags: [{ name: "Sandboxes" }, { name: "Commands" }, { name: "Files" }, { name: "Snapshots" }, { name: "System" }],
  });
  const securitySchemes = { apiKey: { type: "http" as const, scheme: "bearer" } };
  return { ...document, components: { ...document.components, securitySchemes } };
}

export type OpenApiDocument = ReturnType<typeof openApiDocument>;

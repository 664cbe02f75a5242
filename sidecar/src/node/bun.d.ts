/** The few parts of Bun that the agent uses; the whole of its types would redeclare Node's globals. */
declare module "bun:ffi" {
  type Argument = "i32" | "u32" | "i64" | "ptr";
  interface Symbol {
    readonly args: readonly Argument[];
    readonly returns: "i32" | "i64";
  }
  export function dlopen<const T extends Record<string, Symbol>>(
    path: string,
    symbols: T,
  ): {
    readonly symbols: {
      readonly [K in keyof T]: (...values: (number | bigint)[]) => T[K]["returns"] extends "i64" ? bigint : number;
    };
  };
  /** Address of a view's first byte; valid while the view is alive. */
  export function ptr(view: ArrayBufferView): number;
}

declare const Bun: {
  CryptoHasher: new (algorithm: "sha256") => { update(text: string): { digest(encoding: "hex"): string } };
  connect(options: {
    fd: number;
    socket: { data(socket: unknown, bytes: Uint8Array): void; close(): void };
  }): Promise<unknown>;
  serve(
    options: ({ unix: string } | { hostname: string; port: number }) & {
      fetch(request: Request): Response | Promise<Response>;
      error(error: Error): Response;
      idleTimeout: number;
      maxRequestBodySize: number;
    },
  ): { stop(force: boolean): Promise<void> };
};

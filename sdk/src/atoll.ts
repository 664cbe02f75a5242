import { resolveOptions, type ClientOptions } from "./options.ts";
import { Sandboxes } from "./sandboxes.ts";
import { createTransport } from "./transport.ts";

/** Client of one server. It keeps no connection of its own and need not be closed. */
export class Atoll {
  readonly sandboxes: Sandboxes;

  constructor(options: ClientOptions = {}) {
    this.sandboxes = new Sandboxes(createTransport(resolveOptions(options)));
  }
}

import { resolveOptions, type ClientOptions } from "./options.ts";
import { Sandboxes } from "./sandboxes.ts";
import { Snapshots } from "./snapshots.ts";
import { createTransport } from "./transport.ts";

/** Client of one server. It keeps no connection of its own and need not be closed. */
export class Atoll {
  readonly sandboxes: Sandboxes;
  readonly snapshots: Snapshots;

  constructor(options: ClientOptions = {}) {
    const transport = createTransport(resolveOptions(options));
    this.sandboxes = new Sandboxes(transport);
    this.snapshots = new Snapshots(transport);
  }

  /** The same as `snapshots`, as programs written for Isola name it. */
  get rootfsSnapshots(): Snapshots {
    return this.snapshots;
  }
}

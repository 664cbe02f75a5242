import type { Log } from "#core/log.ts";
import type { Link } from "../network.ts";
import type { Net } from "./net.ts";

/** Links made ahead, since making one takes as long as a tenth of a cold start. */
export class LinkStock {
  private readonly net: Net;
  private readonly log: Log;
  private readonly size: number;
  private ready: Link[] = [];
  private filling: Promise<void> | undefined;
  private closed = false;

  constructor(net: Net, log: Log, size: number) {
    this.net = net;
    this.log = log;
    this.size = size;
  }

  take(): Promise<Link> {
    const link = this.ready.pop();
    return link === undefined ? this.net.attach() : Promise.resolve(link);
  }

  /** Makes links until the stock is full; a link that no boot takes is found and removed by the next process. */
  refill(): void {
    if (this.closed || this.filling !== undefined) return;
    this.filling = this.fill().finally(() => (this.filling = undefined));
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.filling;
    await Promise.all(this.ready.splice(0).map((link) => this.net.detach(link)));
  }

  private async fill(): Promise<void> {
    while (!this.closed && this.ready.length < this.size) {
      try {
        this.ready.push(await this.net.attach());
      } catch (error) {
        this.log.error("No link made ahead", { error });
        return;
      }
    }
  }
}

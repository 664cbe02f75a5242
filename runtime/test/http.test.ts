import { describeHttp } from "./conformance/http.ts";
import { startGateway, type RuntimeName } from "./conformance/start-gateway.ts";

for (const runtime of ["bun", "deno", "node", "workerd"] satisfies RuntimeName[]) {
  describeHttp(runtime, () => startGateway(runtime));
}

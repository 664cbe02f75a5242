import { inject } from "vitest";
import { describeHttp } from "../../runtime/test/conformance/http.ts";

// The installed gateway: in pods, on Bun, more than one behind the Service.
describeHttp("bun", () => Promise.resolve({ url: inject("gatewayUrl"), stop: () => Promise.resolve(0) }));

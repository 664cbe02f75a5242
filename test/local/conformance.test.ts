import { describeBackend } from "../../runtime/test/conformance/backend.ts";
import { BASE_IMAGE, makeLocal } from "./local-backend.ts";

describeBackend("local", async () => {
  const { backend, dispose } = await makeLocal();
  return { backend, image: BASE_IMAGE, missingImage: "atoll/debian:none", dispose };
});

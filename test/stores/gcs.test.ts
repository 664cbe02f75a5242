import { checkServer } from "./check-server.ts";

checkServer("gcs");

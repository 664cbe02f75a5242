import { checkServer } from "./check-server.ts";

checkServer("s3");

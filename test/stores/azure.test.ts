import { checkServer } from "./check-server.ts";

checkServer("azure");

import { existsSync } from "node:fs";
import { join } from "node:path";
import { findViolations, FOLDERS, RULES } from "./boundaries.ts";

const root = join(import.meta.dirname, "..");
const folders = FOLDERS.filter((folder) => existsSync(join(root, folder)));
const { modules, violations } = await findViolations(root, folders);

for (const { rule, from, to } of violations) console.log(`${rule}: ${from} → ${to}`);
const broken = new Set(violations.map(({ rule }) => rule));
console.log(`${modules} modules, ${violations.length} violations`);
const failed = modules === 0 ? RULES.length : broken.size;
console.log(`${RULES.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

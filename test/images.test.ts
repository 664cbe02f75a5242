import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { PROGRAM_NAMES, PROGRAMS } from "../images/programs.ts";
import { RUNSC_MODULE_VERSION } from "#cli/setup/runsc-release.ts";
import manifest from "../package.json" with { type: "json" };

const REPOSITORY = join(import.meta.dirname, "..");
const dockerfile = (name: string): Promise<string> => readFile(join(REPOSITORY, "images", name, "Dockerfile"), "utf8");

describe("each Dockerfile says what the image writer does", () => {
  test.each(PROGRAM_NAMES)("%s", async (name) => {
    const { title, user, entrypoint, port } = PROGRAMS[name];
    const text = await dockerfile(name);
    const [, final = ""] = text.split("FROM ${BASE_IMAGE}\n");
    const value = (instruction: string): string | undefined =>
      new RegExp(`^${instruction} (.*)$`, "m").exec(final)?.[1];
    expect({ user: value("USER"), entrypoint: JSON.parse(value("ENTRYPOINT") ?? "") as unknown }).toEqual({
      user,
      entrypoint,
    });
    expect(value("EXPOSE")).toBe(port === undefined ? undefined : String(port));
    expect(value("WORKDIR")).toBe("/");
    expect(final).toContain(`org.opencontainers.image.title="${title}"`);
    expect(final).toContain(`org.opencontainers.image.version="${manifest.version}"`);
    expect(text).toMatch(new RegExp(`^RUN node images/build\\.ts (--gvisor /gvisor )?--tree /out ${name}$`, "m"));
    expect(text).toMatch(/^ARG BUILD_IMAGE=node:24-\S+$/m);
  });

  test.each(PROGRAM_NAMES)("%s, in the same words as the others", async (name) => {
    expect(sharedLines(await dockerfile(name))).toEqual(sharedLines(await dockerfile("gateway")));
  });

  test("installer, with the gVisor that the set-up of one machine builds", async () => {
    expect(await dockerfile("installer")).toContain(`ARG GVISOR_VERSION=${RUNSC_MODULE_VERSION}\n`);
  });
});

/** Lines of the two stages that all have, without those that say which program it is. */
function sharedLines(text: string): string[] {
  const stages = text.split(/^FROM /m).filter((stage) => /^\$\{(BUILD|BASE)_IMAGE\}/.test(stage));
  const own = /^(RUN node |COPY --from=gvisor |LABEL |USER |EXPOSE |ENTRYPOINT )/;
  return stages.flatMap((stage) => stage.split("\n")).filter((line) => !own.test(line));
}

import { runTool, type ToolOptions } from "#runtime/backend/local/node/image-tool.ts";

/**
 * Packs a tree into an EROFS file that gVisor can read: uncompressed, without inline data.
 * Modification times stay, because compiled Python files are valid only beside them; with
 * `fixedTime`, for trees without such files, equal trees give equal files.
 */
export async function packErofs(
  tree: string,
  file: string,
  options: ToolOptions & { readonly fixedTime?: boolean },
): Promise<void> {
  // A fixed identifier: nothing mounts these by it, and equal trees shall give equal files.
  const uuid = "00000000-0000-0000-0000-000000000000";
  const time = options.fixedTime === true ? ["-T0"] : [];
  await runTool("mkfs.erofs", ["--quiet", ...time, "-Enoinline_data", `-U${uuid}`, file, tree], options);
}

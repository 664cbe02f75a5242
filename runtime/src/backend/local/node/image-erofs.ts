// Nobody mounts these files by identifier; a fixed one keeps equal trees equal but for the time of packing.
const UUID = "00000000-0000-0000-0000-000000000000";

/**
 * The command that packs a tree into an EROFS file that gVisor can read: uncompressed, without inline
 * data, without extended attributes: a file that has one cannot even be opened there. Modification times
 * stay, because compiled Python files are valid only beside them.
 */
export function packErofsCommand(tree: string, file: string): readonly string[] {
  return ["mkfs.erofs", "--quiet", "-Enoinline_data", "-x-1", `-U${UUID}`, file, tree];
}

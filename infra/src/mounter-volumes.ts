import type { types } from "@pulumi/kubernetes";
import type { InstallConfig } from "./config.ts";

/** A volume of a pod, and where its one container sees it. */
export interface MountedFolder {
  readonly volume: types.input.core.v1.Volume;
  readonly mount: types.input.core.v1.VolumeMount;
}

/** Where a token lies that some cloud takes for the account's identity. */
const TOKEN_FOLDER = "/var/run/secrets/atoll/identity";

/** What a mounter sees beside its own image. Paths are the node's own: gVisor opens the archives by them. */
export function mounterVolumes(
  { snapshots, installer }: InstallConfig,
  { secret, credentialsFolder }: { readonly secret: string | undefined; readonly credentialsFolder: string },
): readonly MountedFolder[] {
  const { restoreFolder, runsc, mounter } = snapshots;
  const { audience, expirationSeconds } = mounter.identityToken;
  const token = { serviceAccountToken: { audience, expirationSeconds, path: "token" } };
  return [
    { volume: { name: "tmp", emptyDir: { sizeLimit: "64Mi" } }, mount: { name: "tmp", mountPath: "/tmp" } },
    hostFolder("restores", restoreFolder),
    hostFolder("mounter", mounter.folder),
    hostFolder("runsc-state", runsc.rootDir),
    runscProgram(runsc.binaryPath, installer.gvisorDir),
    ...(secret === undefined
      ? []
      : [
          {
            volume: { name: "credentials", secret: { secretName: secret, defaultMode: 0o400 } },
            mount: { name: "credentials", mountPath: credentialsFolder, readOnly: true },
          },
        ]),
    ...(audience === ""
      ? []
      : [
          {
            volume: { name: "identity", projected: { defaultMode: 0o400, sources: [token] } },
            mount: { name: "identity", mountPath: TOKEN_FOLDER, readOnly: true },
          },
        ]),
  ];
}

function hostFolder(name: string, path: string): MountedFolder {
  return {
    volume: { name, hostPath: { path, type: "DirectoryOrCreate" } },
    mount: { name, mountPath: path },
  };
}

/** The installer's releases lie side by side under one folder, so that an upgrade is seen; another's program is the file alone. */
function runscProgram(path: string, gvisorDir: string): MountedFolder {
  const isInstallers = path.startsWith(`${gvisorDir}/`);
  const hostPath = isInstallers ? { path: gvisorDir, type: "Directory" } : { path, type: "File" };
  return {
    volume: { name: "runsc", hostPath },
    mount: { name: "runsc", mountPath: hostPath.path, readOnly: true },
  };
}

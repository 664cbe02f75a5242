import type { CriStatus } from "./cri-message.ts";
import { RUNTIME_TYPE, type RuntimeSettings } from "./runtime-section.ts";
import { at } from "./toml-path.ts";

/** Whether the containerd that runs has our section in force, and not only in its file. */
export function isLoaded({ runtimes }: CriStatus, settings: RuntimeSettings): boolean {
  const loaded = at(runtimes, [settings.handler]);
  return (
    at(loaded, ["runtimeType"]) === RUNTIME_TYPE &&
    at(loaded, ["runtimePath"]) === settings.shimPath &&
    at(loaded, ["options", "ConfigPath"]) === settings.runscConfigPath
  );
}

const CONTAINER_ID = /^([a-z][a-z0-9+.-]*):\/\/([A-Za-z0-9][A-Za-z0-9._-]{0,254})$/;

/** `containerID` of a container's status: its engine, and the id within that; undefined when it says something else. */
export function parseContainerId(text: string): { readonly engine: string; readonly id: string } | undefined {
  const [, engine, id] = CONTAINER_ID.exec(text) ?? [];
  return engine === undefined || id === undefined ? undefined : { engine, id };
}

/** Mark in the environment of a container's main process; its value is the container's name. */
export const CONTAINER_MARK = "ISOLA_CONTAINER_NAME";

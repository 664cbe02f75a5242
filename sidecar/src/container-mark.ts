/** Mark in the environment of a container's main process; its value is the container's name. */
export const CONTAINER_MARK = "ISOLA_CONTAINER_NAME";

/** Name of the program that a container's main process is until it is told what to become. At most 15 bytes, all that the kernel keeps. */
export const WAITING_PROGRAM = ".atoll-hold";

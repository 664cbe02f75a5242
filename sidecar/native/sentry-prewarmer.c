/*
 * Runs ahead of gVisor's kernel process: sentry-prewarmer PROGRAM ARG0 ARG1...
 * The kernel process moves its standard streams to descriptors 253 to 255 when it has many
 * threads already. Growing the table of descriptors then waits for a grace period of the host's
 * kernel, 10 to 20 ms. With one thread it is free, and the larger table survives exec.
 */
#include <fcntl.h>
#include <unistd.h>

enum { HIGHEST_FD = 255 };

int main(int argc, char **argv, char **environment) {
  if (argc < 3) return 2;
  int fd = fcntl(0, F_DUPFD_CLOEXEC, HIGHEST_FD);
  if (fd >= 0) close(fd);
  execve(argv[1], argv + 2, environment);
  return 127;
}

/*
 * Runs a program of the node in the mount namespace of one of its processes:
 * enter-host PID PROGRAM ARGUMENT...
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Programs of the node shall not see the environment of the container. */
static char *const ENVIRONMENT[] = {
  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  "LC_ALL=C",
  NULL,
};

int main(int argc, char **argv) {
  if (argc < 3) {
    fputs("usage: enter-host PID PROGRAM ARGUMENT...\n", stderr);
    return 2;
  }
  char path[64];
  snprintf(path, sizeof path, "/proc/%.20s/ns/mnt", argv[1]);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWNS) != 0 || chdir("/") != 0) {
    fprintf(stderr, "enter-host: %s: %s\n", path, strerror(errno));
    return 126;
  }
  environ = (char **)ENVIRONMENT;
  execvp(argv[2], argv + 2);
  fprintf(stderr, "enter-host: %s: %s\n", argv[2], strerror(errno));
  return 127;
}

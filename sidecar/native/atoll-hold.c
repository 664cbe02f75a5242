/*
 * First program of a user's container: waits until it is told what to become, and becomes it.
 * So a container can be made before anybody has asked for it.
 *
 * Standard input carries one order: three unsigned 32-bit little-endian numbers (bytes of text,
 * count of arguments, count of environment variables), then the text: each string with its zero
 * byte. Standard output carries the report: 'R' when the order is read, then nothing and the end
 * when the program runs, or 'E' and the errno as four bytes when it cannot. The program gets none
 * of these descriptors: its standard streams are /dev/null.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_BYTES = 32 << 20, REPORT = 3 };

static void read_all(char *into, size_t bytes) {
  while (bytes > 0) {
    ssize_t count = read(0, into, bytes);
    if (count == 0 || (count < 0 && errno != EINTR)) _exit(126);
    if (count > 0) into += count, bytes -= (size_t)count;
  }
}

static void report(const char *bytes, size_t count) {
  while (write(REPORT, bytes, count) < 0 && errno == EINTR) {}
}

static void fail(int error) {
  unsigned char said[5] = {'E', (unsigned char)error, (unsigned char)(error >> 8), 0, 0};
  report((const char *)said, sizeof said);
  _exit(127);
}

static char **strings(char **at, const char *end, uint32_t count) {
  char **list = calloc((size_t)count + 1, sizeof *list);
  if (list == NULL) fail(ENOMEM);
  for (uint32_t i = 0; i < count; i++) {
    char *zero = memchr(*at, 0, (size_t)(end - *at));
    if (zero == NULL) fail(EINVAL);
    list[i] = *at;
    *at = zero + 1;
  }
  return list;
}

static const char *value_of(char **environment, const char *name) {
  size_t length = strlen(name);
  for (; *environment; environment++)
    if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=') return *environment + length + 1;
  return "";
}

/* Along PATH as a shell does: a program that may not be executed counts only when there is no other. */
static int run(char **argv, char **environment) {
  char path[PATH_MAX];
  int denied = 0;
  if (strchr(argv[0], '/') != NULL) {
    execve(argv[0], argv, environment);
    return errno;
  }
  for (const char *from = value_of(environment, "PATH"), *to; *argv[0] != 0; from = to + 1) {
    to = strchrnul(from, ':');
    int length = (int)(to - from);
    /* An empty entry is the working directory. */
    if (length + strlen(argv[0]) + 2 <= sizeof path) {
      snprintf(path, sizeof path, "%.*s%s%s", length, from, length > 0 ? "/" : "./", argv[0]);
      execve(path, argv, environment);
      if (errno == EACCES) denied = 1;
      else if (errno != ENOENT && errno != ENOTDIR) return errno;
    }
    if (*to == 0) break;
  }
  return denied ? EACCES : ENOENT;
}

int main(void) {
  uint32_t head[3];
  /* Closed by a successful exec, which is how the other side learns of it. */
  if (fcntl(1, F_DUPFD_CLOEXEC, REPORT) != REPORT) return 126;
  read_all((char *)head, sizeof head);
  if (head[0] > MOST_BYTES || head[1] == 0 || head[1] > head[0] || head[2] > head[0]) fail(EINVAL);
  char *text = malloc((size_t)head[0] + 1);
  if (text == NULL) fail(ENOMEM);
  read_all(text, head[0]);
  char *at = text;
  char **argv = strings(&at, text + head[0], head[1]);
  char **environment = strings(&at, text + head[0], head[2]);
  int nothing = open("/dev/null", O_RDWR);
  if (nothing < 0) fail(errno);
  for (int fd = 0; fd < 3; fd++) if (dup2(nothing, fd) < 0) fail(errno);
  if (nothing > 2) close(nothing);
  report("R", 1);
  fail(run(argv, environment));
}

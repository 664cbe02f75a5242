/*
 * Says what gVisor leaves out of a snapshot without a word: atoll-losses CONTAINER SECONDS
 * Runs in the agent's container, which can enter the others' roots, and only looks: no file is
 * opened but folders, and nothing of a container's is run. What it meets is hostile, and may
 * change under its eyes; it holds on to folders by descriptors and follows no link.
 *
 * A line for each kind of loss: its name, how many paths, and the first few of them in hexadecimal
 * digits, cut when they are long. Then the root folder's mode and owner, and at the end what was
 * looked at, what could not be, and whether time was up.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum {
  EXAMPLES = 5,
  SHOWN_BYTES = 256,
  PATH_BYTES = 1 << 16,
  ENTRY_BYTES = 8 << 10,
  XATTR_BYTES = 1 << 16,
  ENVIRONMENT_BYTES = 2 << 20,
  /* Each level holds a descriptor and a buffer. */
  MOST_DEPTH = 1024,
  LOOK_AT_CLOCK_EVERY = 64,
  /* A clock that was set back since the kernel started hides no change of the time before. */
  SLACK_SECONDS = 3600,
  NO_CONTAINER = 2,
};

#define MARK "ISOLA_CONTAINER_NAME="

struct finding {
  const char *kind;
  unsigned long count;
  char examples[EXAMPLES][SHOWN_BYTES * 2 + 1];
};

struct entry {
  uint64_t inode;
  int64_t offset;
  uint16_t bytes;
  uint8_t type;
  char name[];
};

static struct finding sockets = {.kind = "sockets"}, attributes = {.kind = "attributes"}, capabilities = {.kind = "capabilities"};
static struct stat root;
static time_t since;
static struct timespec end;
static int is_late;
static unsigned long looked, missed;
/* Of the folder that is looked at, without the slash at its end. */
static char path[PATH_BYTES] = ".";
static size_t path_bytes = 1;

static void *allocate(size_t bytes) {
  void *memory = malloc(bytes);
  if (memory == NULL) _exit(1);
  return memory;
}

/* ---- what is found ------------------------------------------------------------------ */

static void found(struct finding *finding, const char *name) {
  if (finding->count++ >= EXAMPLES) return;
  char *into = finding->examples[finding->count - 1];
  const char *const parts[] = {path, "/", name};
  size_t shown = 0;
  for (size_t part = 0; part < sizeof parts / sizeof *parts; part++)
    for (const char *byte = parts[part]; *byte != 0 && shown < SHOWN_BYTES; byte++, shown++)
      sprintf(into + shown * 2, "%02x", (unsigned char)*byte);
}

/* As Go has it: no surrogates, no detours, nothing beyond the last character. */
static int is_utf8(const unsigned char *bytes, size_t count) {
  for (size_t at = 0; at < count;) {
    unsigned char first = bytes[at++];
    if (first < 0x80) continue;
    int more = first >= 0xc2 && first <= 0xdf ? 1 : (first & 0xf0) == 0xe0 ? 2 : first >= 0xf0 && first <= 0xf4 ? 3 : 0;
    if (more == 0 || count - at < (size_t)more) return 0;
    unsigned char least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    for (; more > 0; more--, least = 0x80, most = 0xbf)
      if (bytes[at] < least || bytes[at++] > most) return 0;
  }
  return 1;
}

/* Whether gVisor would leave this attribute out; access lists it keeps in a form of their own. */
static int is_lost(int folder, const char *name, const char *key) {
  static unsigned char value[XATTR_BYTES];
  if (strncmp(key, "system.posix_acl_", 17) == 0) return 0;
  ssize_t bytes = folder >= 0 ? fgetxattr(folder, key, value, sizeof value) : lgetxattr(name, key, value, sizeof value);
  if (bytes < 0) {
    if (errno != ENODATA && errno != ENOENT) missed++;
    return 0;
  }
  return bytes == 0 || strchr(key, '=') != NULL || !is_utf8((const unsigned char *)key, strlen(key)) || !is_utf8(value, (size_t)bytes);
}

/*
 * Whether a file is of the container's own layer. The numbers of devices are given out in order: the
 * layer's before the root's, those by which files of the image are shown after it.
 */
static int is_own(const char *name) {
  struct stat file;
  if (fstatat(AT_FDCWD, name, &file, AT_SYMLINK_NOFOLLOW)) return 0;
  return file.st_ctim.tv_sec >= since && minor(file.st_dev) < minor(root.st_dev);
}

/* A folder by its descriptor, anything else by its name in the present folder. */
static void look_at_attributes(int folder, const char *name) {
  static char keys[XATTR_BYTES];
  ssize_t bytes = folder >= 0 ? flistxattr(folder, keys, sizeof keys - 1) : llistxattr(name, keys, sizeof keys - 1);
  if (bytes < 0 && errno != ENOENT && errno != ENOTSUP && errno != ENOTDIR) missed++;
  if (bytes <= 0) return;
  keys[bytes] = 0;
  int loses_capability = 0, loses_attribute = 0;
  for (const char *key = keys; key < keys + bytes; key += strlen(key) + 1) {
    if (!is_lost(folder, name, key)) continue;
    if (strcmp(key, "security.capability") == 0) loses_capability = 1;
    else loses_attribute = 1;
  }
  if (!loses_capability && !loses_attribute) return;
  if (folder < 0 && !is_own(name)) return;
  if (loses_capability) found(&capabilities, name);
  if (loses_attribute) found(&attributes, name);
}

/* ---- the walk ----------------------------------------------------------------------- */

static int time_is_up(void) {
  if (is_late || looked % LOOK_AT_CLOCK_EVERY != 0) return is_late;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  is_late = now.tv_sec > end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec >= end.tv_nsec);
  return is_late;
}

static void walk(int folder, unsigned depth);

/* Only folders of this file system, and only such as have changed: the others have nothing of the container's own. */
static void enter(int parent, const char *name, unsigned depth) {
  struct stat status;
  if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW)) return;
  if (!S_ISDIR(status.st_mode) || status.st_dev != root.st_dev || status.st_ctim.tv_sec < since) return;
  size_t bytes = strlen(name);
  if (depth >= MOST_DEPTH || path_bytes + 1 + bytes >= sizeof path) {
    missed++;
    return;
  }
  int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (folder < 0) {
    if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) missed++;
    return;
  }
  look_at_attributes(folder, name);
  path[path_bytes] = '/';
  memcpy(path + path_bytes + 1, name, bytes + 1);
  path_bytes += bytes + 1;
  walk(folder, depth + 1);
  path_bytes -= bytes + 1;
  path[path_bytes] = 0;
  close(folder);
  if (fchdir(parent)) _exit(1);
}

static void look_at(int folder, const struct entry *entry, unsigned depth) {
  const char *name = entry->name;
  uint8_t type = entry->type;
  if (type == DT_UNKNOWN) {
    struct stat status;
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW)) return;
    type = IFTODT(status.st_mode);
  }
  if (type == DT_SOCK) found(&sockets, name);
  else if (type == DT_DIR) enter(folder, name, depth);
  else look_at_attributes(-1, name);
}

static void walk(int folder, unsigned depth) {
  if (fchdir(folder)) {
    missed++;
    return;
  }
  char *entries = allocate(ENTRY_BYTES);
  long bytes = 0;
  while (!time_is_up() && (bytes = syscall(SYS_getdents64, folder, entries, ENTRY_BYTES)) > 0) {
    const struct entry *entry;
    for (long at = 0; at < bytes && !time_is_up(); at += entry->bytes) {
      entry = (const struct entry *)(entries + at);
      if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0) continue;
      looked++;
      look_at(folder, entry, depth);
    }
  }
  if (bytes < 0) missed++;
  free(entries);
}

/* ---- the container ------------------------------------------------------------------ */

/* What a file of /proc holds, ended by a zero byte; the number of bytes, or -1. */
static ssize_t read_file(const char *name, char *into, size_t most) {
  int file = open(name, O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  size_t bytes = 0;
  for (ssize_t count; bytes < most - 1 && (count = read(file, into + bytes, most - 1 - bytes)) > 0;) bytes += (size_t)count;
  close(file);
  into[bytes] = 0;
  return (ssize_t)bytes;
}

/* The last one: before it there may be a name that a process gave itself, line breaks and all. */
static const char *last_of(const char *text, const char *wanted) {
  const char *last = NULL;
  for (const char *at = text; (at = strstr(at, wanted)) != NULL; at++) last = at;
  return last;
}

/* When a process started that is the main one of the container; 0 = it is not. */
static unsigned long long main_since(const char *pid, const char *container, char *text) {
  char name[64];
  snprintf(name, sizeof name, "/proc/%.16s/status", pid);
  if (read_file(name, text, ENVIRONMENT_BYTES) <= 0) return 0;
  const char *parent = last_of(text, "\nPPid:\t");
  if (parent == NULL || strtol(parent + 7, NULL, 10) != 0) return 0;
  snprintf(name, sizeof name, "/proc/%.16s/environ", pid);
  ssize_t bytes = read_file(name, text, ENVIRONMENT_BYTES);
  const char *mark = NULL;
  for (const char *at = text; mark == NULL && at < text + bytes; at += strlen(at) + 1)
    if (strncmp(at, MARK, sizeof MARK - 1) == 0) mark = at;
  if (mark == NULL || strcmp(mark + sizeof MARK - 1, container) != 0) return 0;
  snprintf(name, sizeof name, "/proc/%.16s/stat", pid);
  if (read_file(name, text, ENVIRONMENT_BYTES) <= 0) return 0;
  const char *field = strrchr(text, ')');
  for (int skipped = 0; field != NULL && skipped < 20; skipped++) field = strchr(field + 1, ' ');
  return field == NULL ? 0 : strtoull(field + 1, NULL, 10) + 1;
}

/* Of several processes with one mark the one that started first. */
static int open_root(const char *container) {
  DIR *processes = opendir("/proc");
  if (processes == NULL) return -1;
  char *text = allocate(ENVIRONMENT_BYTES);
  char name[64] = "";
  unsigned long long first = 0;
  for (const struct dirent *process; (process = readdir(processes)) != NULL;) {
    if (!isdigit((unsigned char)process->d_name[0])) continue;
    unsigned long long started = main_since(process->d_name, container, text);
    if (started == 0 || (first != 0 && started >= first)) continue;
    first = started;
    snprintf(name, sizeof name, "/proc/%.16s/root", process->d_name);
  }
  free(text);
  closedir(processes);
  return first == 0 ? -1 : open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static time_t kernel_start(void) {
  struct timespec now, up;
  clock_gettime(CLOCK_REALTIME, &now);
  clock_gettime(CLOCK_BOOTTIME, &up);
  return now.tv_sec - up.tv_sec;
}

static void print(const struct finding *finding) {
  printf("%s %lu", finding->kind, finding->count);
  for (unsigned long shown = 0; shown < finding->count && shown < EXAMPLES; shown++) printf(" %s", finding->examples[shown]);
  putchar('\n');
}

int main(int count, char **words) {
  unsigned seconds = count == 3 ? (unsigned)strtoul(words[2], NULL, 10) : 0;
  if (seconds == 0) return 1;
  /* Should a call hang, the walk ends all the same. */
  alarm(seconds + 5);
  clock_gettime(CLOCK_MONOTONIC, &end);
  end.tv_sec += seconds;
  since = kernel_start() - SLACK_SECONDS;
  int folder = open_root(words[1]);
  if (folder < 0) return NO_CONTAINER;
  if (fchdir(folder) || chroot(".") || fstat(folder, &root)) return 1;
  walk(folder, 0);
  print(&sockets);
  print(&attributes);
  print(&capabilities);
  printf("root %o %u %u\n", root.st_mode & 07777, root.st_uid, root.st_gid);
  printf("end %lu %lu %d\n", looked, missed, is_late);
  return fflush(stdout) == 0 ? 0 : 1;
}

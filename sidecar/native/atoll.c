/*
 * Mechanism for the agent: starts commands inside a container's root with the container's
 * power, and moves their output from pipes to journal files. All policy is in TypeScript.
 *
 * One pump thread owns everything after the spawn: it waits on the commands' pipes and pid
 * descriptors, writes journals, reaps, and reports by fixed-size messages on a pipe.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 1024, NAME_BYTES = 40, PIPE_BYTES = 1 << 20, PIPE_GROWS_AT = 1 << 15, BUSY_BYTES = 1 << 12, BUSY_ROUNDS = 4, REST_MS = 2, TELL_BYTES = 1 << 20, TELL_MS = 10, ROUND_BYTES = 1 << 20, LIMITS = 16, EVENTS = 64, OUTBOX = 1024 };

/* What a message says; `slot` is command * 2 + stream for the first five, the command otherwise. */
enum { DATA = 1, PAUSED, FAILED, COMPLETE, CLOSED, EXITED, STDIN_READY };
struct message { uint32_t kind, slot; int64_t value; };

/* Layout shared with TypeScript: 64-bit words in this order. */
struct spawn {
  int64_t root_fd, cwd_fd;
  int64_t group_fd;         /* cgroup.procs of the container's control group; -1 = none */
  int64_t argv, envp;       /* char ** */
  int64_t candidates;       /* char **: absolute or cwd-relative programs to try in this order */
  int64_t shell_argv;       /* char **: run when no candidate can be executed */
  int64_t bounding, inheritable, no_new_privileges;
  int64_t limits;           /* struct rlimit [LIMITS]; an entry with rlim_cur > rlim_max is not set */
  int64_t name;             /* journal files are <name>.<stream>.<segment> */
  int64_t slot, limit;      /* limit: bytes each stream may journal before a grant */
  int64_t out_pid, out_stdin_fd, out_step;
};

struct stream {
  int fd, segment_fd, resting, complete;
  int busy; /* rounds without bytes until it counts as calm again; 0 = calm */
  int64_t segment, end, told, told_at_ms, final; /* final: -1 until the command has exited */
  _Atomic int64_t limit;
};
struct command {
  int exited;
  pid_t pid;
  int pid_fd;
  char name[NAME_BYTES];
  struct stream streams[2];
};

static struct command commands[SLOTS];
static int epoll_fd, journal_fd, wake_fd;
static int64_t segment_bytes;
static pthread_mutex_t reaping = PTHREAD_MUTEX_INITIALIZER;

/* What an epoll entry is about: command, and 0/1 for an output stream, 2 for stdin, 3 for the process. */
static int watch(int operation, int fd, uint32_t events, uint32_t command, uint32_t part) {
  struct epoll_event event = {.events = events, .data.u64 = (uint64_t)command << 2 | part};
  return epoll_ctl(epoll_fd, operation, fd, &event);
}

/* Messages of one round of the pump leave together; the pump may wait here, nobody waits for the pump. */
static struct message outbox[OUTBOX];
static size_t outbox_count;

static void flush(void) {
  const char *bytes = (const char *)outbox;
  size_t left = outbox_count * sizeof *outbox;
  while (left > 0) {
    ssize_t count = write(wake_fd, bytes, left);
    if (count < 0 && errno != EINTR) abort();
    if (count > 0) bytes += count, left -= (size_t)count;
  }
  outbox_count = 0;
}

static void tell(uint32_t kind, uint32_t slot, int64_t value) {
  outbox[outbox_count++] = (struct message){kind, slot, value};
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Descriptors to close once everybody has been told: a system call is dear, and somebody waits for the news. */
static int unused[EVENTS * 4];
static int unused_count;

static void close_unused(void) {
  while (unused_count > 0) close(unused[--unused_count]);
}

static void close_later(int fd) {
  if (unused_count == sizeof unused / sizeof *unused) close_unused();
  unused[unused_count++] = fd;
}

/* ---- output ------------------------------------------------------------------------- */

static int open_segment(struct command *command, int stream_index) {
  struct stream *stream = &command->streams[stream_index];
  int64_t wanted = stream->end / segment_bytes;
  if (stream->segment_fd >= 0 && stream->segment == wanted) return 0;
  if (stream->segment_fd >= 0) close(stream->segment_fd);
  char path[NAME_BYTES + 32];
  snprintf(path, sizeof path, "%s.%d.%lld", command->name, stream_index, (long long)wanted);
  stream->segment_fd = openat(journal_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  stream->segment = wanted;
  return stream->segment_fd < 0 ? -1 : 0;
}

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* Moves bytes until the pipe is empty, the limit is reached or it is another stream's turn. */
enum outcome { EMPTY, LIMITED, YIELDED, ENDED, BROKEN };
static enum outcome move(struct command *command, int stream_index) {
  struct stream *stream = &command->streams[stream_index];
  for (int64_t moved = 0;;) {
    int64_t stop = atomic_load(&stream->limit);
    if (stream->final >= 0) stop = smaller(stop, stream->final);
    int64_t room = smaller(stop - stream->end, segment_bytes - stream->end % segment_bytes);
    if (room <= 0) return LIMITED;
    if (moved >= ROUND_BYTES) return YIELDED;
    if (open_segment(command, stream_index)) return BROKEN;
    loff_t at = stream->end % segment_bytes;
    int64_t wanted = smaller(room, ROUND_BYTES);
    ssize_t count = splice(stream->fd, NULL, stream->segment_fd, &at, (size_t)wanted, SPLICE_F_NONBLOCK);
    if (count > 0) {
      if (stream->end < PIPE_GROWS_AT && stream->end + count >= PIPE_GROWS_AT) fcntl(stream->fd, F_SETPIPE_SZ, PIPE_BYTES);
      stream->end += count;
      moved += count;
      /* The pipe had no more: what was written meanwhile is another round's. */
      if (count < wanted) return EMPTY;
    } else if (count == 0) {
      return ENDED;
    } else if (errno == EAGAIN) {
      return EMPTY;
    } else if (errno != EINTR) {
      return BROKEN;
    }
  }
}

static void close_stream(struct command *command, int stream_index) {
  struct stream *stream = &command->streams[stream_index];
  uint32_t slot = (uint32_t)(command - commands);
  close_later(stream->fd);
  stream->fd = -1;
  tell(CLOSED, slot * 2 + (uint32_t)stream_index, stream->end);
}

static void complete_stream(struct command *command, int stream_index) {
  struct stream *stream = &command->streams[stream_index];
  if (stream->segment_fd >= 0) close_later(stream->segment_fd);
  stream->segment_fd = -1;
  stream->complete = 1;
  tell(COMPLETE, (uint32_t)(command - commands) * 2 + (uint32_t)stream_index, stream->end);
}

/* After the stream is complete, survivors of the command may go on writing: their bytes are dropped. */
static int drop_rest(struct stream *stream) {
  static char scratch[1 << 16];
  for (int round = 0; round < 16; round++) {
    ssize_t count = read(stream->fd, scratch, sizeof scratch);
    if (count == 0) return 0;
    if (count < 0 && errno != EINTR) return errno == EAGAIN;
  }
  return 1;
}

static uint32_t resting[SLOTS * 2];
static int resting_count;
static int hurried; /* a pipe was full: its writer waits, so nobody rests */

/* Of a busy stream only whole pieces are told, as each costs its reader a wake-up; what has waited long is told anyway. */
static void tell_growth(struct stream *stream, uint32_t report, int busy) {
  int64_t now = now_ms(), whole = stream->end - stream->end % TELL_BYTES;
  int64_t end = !busy || now - stream->told_at_ms >= TELL_MS ? stream->end : whole;
  if (end <= stream->told) return;
  tell(DATA, report, stream->told = end);
  stream->told_at_ms = now;
}

static void on_output(struct command *command, int stream_index, uint32_t events) {
  struct stream *stream = &command->streams[stream_index];
  uint32_t slot = (uint32_t)(command - commands), report = slot * 2 + (uint32_t)stream_index;
  if (stream->fd < 0) return;
  if (stream->complete) {
    if (drop_rest(stream)) watch(EPOLL_CTL_MOD, stream->fd, EPOLLIN | EPOLLONESHOT, slot, (uint32_t)stream_index);
    else close_stream(command, stream_index);
    return;
  }
  int64_t before = stream->end;
  /* A hang-up without input is the end; asking the pipe would create a journal file for nothing. */
  enum outcome outcome = events & EPOLLIN ? move(command, stream_index) : events & EPOLLHUP ? ENDED : EMPTY;
  int error = errno;
  int64_t moved = stream->end - before;
  if (outcome == YIELDED || moved >= (stream->busy ? 1 : BUSY_BYTES)) stream->busy = BUSY_ROUNDS;
  else if (moved == 0 && stream->busy > 0) stream->busy--;
  int busy = stream->busy > 0 && (outcome == YIELDED || outcome == EMPTY);
  tell_growth(stream, report, busy);
  if (outcome == ENDED || (stream->final >= 0 && stream->end >= stream->final)) {
    complete_stream(command, stream_index);
    stream->final = stream->end;
    if (outcome == ENDED) return close_stream(command, stream_index);
    outcome = EMPTY;
  }
  if (busy && outcome != ENDED) {
    /* A busy writer fills its pipe meanwhile: few large pieces, and few wake-ups, cost less than many small ones. */
    if (!stream->resting) resting[resting_count++] = report;
    stream->resting = 1;
    hurried |= outcome == YIELDED;
  } else if (outcome == EMPTY) {
    watch(EPOLL_CTL_MOD, stream->fd, EPOLLIN | EPOLLONESHOT, slot, (uint32_t)stream_index);
  } else {
    tell(outcome == LIMITED ? PAUSED : FAILED, report, outcome == LIMITED ? stream->end : error);
  }
}

static void on_exit_of(struct command *command) {
  uint32_t slot = (uint32_t)(command - commands);
  int status = 0;
  pthread_mutex_lock(&reaping);
  pid_t reaped = waitpid(command->pid, &status, WNOHANG);
  if (reaped != 0) command->exited = 1;
  pthread_mutex_unlock(&reaping);
  if (reaped == 0) return (void)watch(EPOLL_CTL_MOD, command->pid_fd, EPOLLIN | EPOLLONESHOT, slot, 3);
  close_later(command->pid_fd);
  tell(EXITED, slot, reaped < 0 ? -1 : status);
  for (int i = 0; i < 2; i++) {
    struct stream *stream = &command->streams[i];
    int waiting = 0;
    if (stream->fd < 0) continue;
    ioctl(stream->fd, FIONREAD, &waiting);
    stream->final = stream->end + waiting;
    on_output(command, i, waiting > 0 ? EPOLLIN : 0);
  }
}

/* Takes up the streams that rested; those that are still busy rest again. */
static void wake_resting(void) {
  static uint32_t awake[SLOTS * 2];
  int count = resting_count;
  memcpy(awake, resting, sizeof *awake * (size_t)count);
  resting_count = 0;
  for (int i = 0; i < count; i++) {
    struct command *command = &commands[awake[i] >> 1];
    command->streams[awake[i] & 1].resting = 0;
    on_output(command, awake[i] & 1, EPOLLIN);
    if (outbox_count > OUTBOX / 2) flush();
  }
}

/* ---- pipes -------------------------------------------------------------------------- */

/* Standard input, output and error of a command; of each the reading and the writing end. */
typedef int pipes_of_command[3][2];

static int make_pipes(pipes_of_command pipes) {
  for (int i = 0; i < 3; i++) {
    if (pipe2(pipes[i], O_CLOEXEC)) return -1;
    int ours = pipes[i][i == 0 ? 1 : 0];
    fcntl(ours, F_SETFL, O_NONBLOCK | (i == 0 ? O_WRONLY : O_RDONLY));
  }
  return 0;
}

static void close_pipes(pipes_of_command pipes) {
  for (int i = 0; i < 6; i++) if (pipes[i / 2][i % 2] >= 0) close(pipes[i / 2][i % 2]);
}

/* The pipes of the next command, made while nobody waits. Who has changed the state away from NONE or READY owns them. */
static pipes_of_command stocked;
static _Atomic int stock = 0;
enum { NONE = 0, READY, TAKEN };

static void stock_pipes(void) {
  int state = NONE;
  if (!atomic_compare_exchange_strong(&stock, &state, TAKEN)) return;
  memset(stocked, -1, sizeof stocked);
  int failed = make_pipes(stocked);
  if (failed) close_pipes(stocked);
  atomic_store(&stock, failed ? NONE : READY);
}

static int take_pipes(pipes_of_command pipes) {
  int state = READY;
  if (!atomic_compare_exchange_strong(&stock, &state, TAKEN)) return make_pipes(pipes);
  memcpy(pipes, stocked, sizeof stocked);
  atomic_store(&stock, NONE);
  return 0;
}

static void *pump(void *argument) {
  (void)argument;
  struct epoll_event events[EVENTS];
  stock_pipes();
  for (int64_t rested = 0;;) {
    int count = epoll_wait(epoll_fd, events, EVENTS, resting_count == 0 ? -1 : hurried ? 0 : REST_MS);
    for (int i = 0; i < count; i++) {
      uint32_t slot = (uint32_t)(events[i].data.u64 >> 2), part = events[i].data.u64 & 3;
      if (part < 2) on_output(&commands[slot], (int)part, events[i].events);
      else if (part == 2) tell(STDIN_READY, slot, 0);
      else on_exit_of(&commands[slot]);
    }
    if (resting_count && (count == 0 || hurried || now_ms() > rested)) {
      hurried = 0;
      wake_resting();
      rested = now_ms();
    }
    flush();
    close_unused();
    stock_pipes();
  }
  return NULL;
}

/* ---- starting ----------------------------------------------------------------------- */

/* Whether a child starts without the agent's signal handlers. Otherwise it sets them back itself, one system call each. */
#ifdef __x86_64__
enum { CLEARS_HANDLERS = 1 };
#else
enum { CLEARS_HANDLERS = 0 };
#endif

/* Facts about the agent that cost a system call each to find out, and system calls are dear here. */
static uint64_t own_bounding;
static int is_plain_root; /* uid and gid 0 throughout, in no other group */
static sigset_t odd_signals; /* those that a child has to set back */

static void learn_about_self(void) {
  struct sigaction action;
  sigemptyset(&odd_signals);
  for (int number = 1; number < NSIG; number++) {
    if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL && (action.sa_handler == SIG_IGN || !CLEARS_HANDLERS)) sigaddset(&odd_signals, number);
  }
  for (int cap = 0; cap < 64; cap++) {
    if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1) own_bounding |= 1ULL << cap;
  }
  uid_t uids[3];
  gid_t gids[3];
  is_plain_root = getresuid(&uids[0], &uids[1], &uids[2]) == 0 && !(uids[0] | uids[1] | uids[2]) &&
                  getresgid(&gids[0], &gids[1], &gids[2]) == 0 && !(gids[0] | gids[1] | gids[2]) && getgroups(0, NULL) == 0;
  umask(022);
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  /* Not dumpable: between losing its power and exec a child shares this memory, and nobody may look into it. */
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static int drop_power(const struct spawn *spawn) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  uint64_t keep = (uint64_t)spawn->bounding, inherit = (uint64_t)spawn->inheritable & keep;
  struct __user_cap_data_struct data[2];
  for (int i = 0; i < 2; i++) {
    data[i].effective = data[i].permitted = (uint32_t)(keep >> (32 * i));
    data[i].inheritable = (uint32_t)(inherit >> (32 * i));
  }
  for (int cap = 0; cap < 64; cap++) {
    if ((own_bounding & ~keep) >> cap & 1 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0)) return -1;
  }
  /* Raw calls: the library's wrappers would change every thread of the agent. */
  if (!is_plain_root && (syscall(SYS_setgroups, 0, NULL) || syscall(SYS_setresgid, 0, 0, 0) || syscall(SYS_setresuid, 0, 0, 0))) return -1;
  if (syscall(SYS_capset, &header, data)) return -1;
  return spawn->no_new_privileges ? prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) : 0;
}

/* A command on its way from the agent to its program. */
struct start {
  const struct spawn *spawn;
  const int *stdio;
  volatile int step, error;
};

/* Runs in the child, which shares the agent's memory: system calls only, and never returns. */
__attribute__((noinline, noreturn)) static void become(struct start *start) {
  const struct spawn *spawn = start->spawn;
  const int *stdio = start->stdio;
  const struct rlimit *limits = (const struct rlimit *)spawn->limits;
  char **candidates = (char **)spawn->candidates, **envp = (char **)spawn->envp, **shell = (char **)spawn->shell_argv;
  sigset_t none;
  sigemptyset(&none);
  for (int number = 1; number < NSIG; number++) if (sigismember(&odd_signals, number)) signal(number, SIG_DFL);
  setsid();
  start->step = 5;
  /* Before anything else: what the command starts counts towards its container's limit from the first process on. */
  if (spawn->group_fd >= 0 && write((int)spawn->group_fd, "0", 1) != 1) goto failed;
  start->step = 1;
  if (fchdir((int)spawn->root_fd) || chroot(".")) goto failed;
  if (spawn->cwd_fd != spawn->root_fd && fchdir((int)spawn->cwd_fd)) goto failed;
  start->step = 2;
  /* The sources are above 2 (see spawn), so none is overwritten before it is used. */
  for (int i = 0; i < 3; i++) if (dup2(stdio[i], i) < 0) goto failed;
  if (syscall(SYS_close_range, 3, ~0U, 0)) goto failed;
  for (int i = 0; i < LIMITS; i++) if (limits[i].rlim_cur <= limits[i].rlim_max) setrlimit(i, &limits[i]);
  start->step = 3;
  if (drop_power(spawn)) goto failed;
  start->step = 4;
  sigprocmask(SIG_SETMASK, &none, NULL);
  /* Where there is a choice, a look first: a program that is not there costs five times as much to execute. */
  int is_choice = candidates[0] && candidates[1];
  for (; *candidates; candidates++) {
    if (!is_choice || access(*candidates, F_OK) == 0) execve(*candidates, (char **)spawn->argv, envp);
  }
  execve(shell[0], shell, envp);
failed:
  start->error = errno;
  _exit(127);
}

/* Makes the child; the agent's thread waits until it has become its program or has failed. */
static pid_t make_child(struct start *start, int *pid_fd) {
#ifdef __x86_64__
  /* A stack of its own, as the agent's thread needs its frames afterwards. Only one thread starts commands, and it waits. */
  static char stack[1 << 16] __attribute__((aligned(16)));
  struct clone_args args = {
    .flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
    .pidfd = (uint64_t)pid_fd,
    .exit_signal = SIGCHLD,
    .stack = (uint64_t)stack,
    .stack_size = sizeof stack,
  };
  long pid;
  __asm__ volatile(
    "syscall\n\t"
    "test %%rax, %%rax\n\t"
    "jnz 1f\n\t"
    "xor %%ebp, %%ebp\n\t"
    "mov %[start], %%rdi\n\t"
    "call *%[become]\n\t"
    "ud2\n"
    "1:"
    : "=a"(pid)
    : "a"((long)SYS_clone3), "D"(&args), "S"(sizeof args), [become] "r"(become), [start] "r"(start)
    : "rcx", "r11", "cc", "memory");
  if (pid < 0) errno = (int)-pid;
  return pid < 0 ? -1 : (pid_t)pid;
#else
  /* No handler of the agent may run in the child before it has set them back. */
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t pid = vfork();
  if (pid == 0) become(start);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (pid > 0) *pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
  return pid;
#endif
}

static int adopt(struct command *command, pid_t pid, int pid_fd, pipes_of_command pipes, const char *name, int64_t limit) {
  uint32_t slot = (uint32_t)(command - commands);
  command->pid = pid;
  command->exited = 0;
  command->pid_fd = pid_fd;
  if (pid_fd < 0) return -1;
  snprintf(command->name, NAME_BYTES, "%s", name);
  for (int i = 0; i < 2; i++) {
    command->streams[i] = (struct stream){.fd = pipes[i + 1][0], .segment_fd = -1, .final = -1, .limit = limit};
    if (watch(EPOLL_CTL_ADD, command->streams[i].fd, EPOLLIN | EPOLLONESHOT, slot, (uint32_t)i)) return -1;
  }
  return watch(EPOLL_CTL_ADD, command->pid_fd, EPOLLIN | EPOLLONESHOT, slot, 3);
}

/* Starts a command; 0 or -errno. On success the out_ words are set. The caller keeps `slot` for it until EXITED and two CLOSED have come. */
int atoll_spawn(struct spawn *spawn) {
  pipes_of_command pipes = {{-1, -1}, {-1, -1}, {-1, -1}};
  int result = 0, pid_fd = -1;
  if (take_pipes(pipes)) { result = -errno; goto cleanup; }
  const int stdio[3] = {pipes[0][0], pipes[1][1], pipes[2][1]};
  struct start start = {.spawn = spawn, .stdio = stdio};
  pid_t pid = make_child(&start, &pid_fd);
  spawn->out_step = start.step;
  if (pid < 0) { result = -errno; goto cleanup; }
  if (start.error) {
    waitpid(pid, NULL, 0);
    result = -start.error;
  } else if (adopt(&commands[spawn->slot], pid, pid_fd, pipes, (const char *)spawn->name, spawn->limit) == 0) {
    spawn->out_pid = pid;
    spawn->out_stdin_fd = pipes[0][1];
    for (int i = 0; i < 3; i++) close(stdio[i]);
    return 0;
  } else {
    result = -errno;
    kill(-pid, SIGKILL);
    waitpid(pid, NULL, 0);
  }
  if (pid_fd >= 0) close(pid_fd);
cleanup:
  close_pipes(pipes);
  return result;
}

/* Lets a stream journal up to `limit` bytes in all. */
int atoll_grant(uint32_t slot, uint32_t stream_index, int64_t limit) {
  struct stream *stream = &commands[slot].streams[stream_index];
  atomic_store(&stream->limit, limit);
  return watch(EPOLL_CTL_MOD, stream->fd, EPOLLIN | EPOLLONESHOT, slot, stream_index);
}

/* Kills the command's process group; does nothing once the command has been reaped, as its number may be another's. */
int atoll_kill(uint32_t slot) {
  pthread_mutex_lock(&reaping);
  int result = commands[slot].exited ? -ESRCH : kill(-commands[slot].pid, SIGKILL) ? -errno : 0;
  pthread_mutex_unlock(&reaping);
  return result;
}

/* Asks for one STDIN_READY message when `fd` can be written or its reader is gone. */
int atoll_await_stdin(uint32_t slot, int fd) {
  if (watch(EPOLL_CTL_MOD, fd, EPOLLOUT | EPOLLONESHOT, slot, 2) == 0) return 0;
  return watch(EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLONESHOT, slot, 2) ? -errno : 0;
}

/* Starts the pump; returns the descriptor to read messages from, or -errno. */
int atoll_start(const char *journal_directory, int64_t bytes_per_segment) {
  int ends[2];
  pthread_t thread;
  segment_bytes = bytes_per_segment;
  learn_about_self();
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) || (epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0) return -errno;
  if ((journal_fd = open(journal_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) return -errno;
  wake_fd = ends[1];
  return pthread_create(&thread, NULL, pump, NULL) ? -EAGAIN : ends[0];
}

/* ---- files: thin system calls that give -errno ---------------------------------------- */

int atoll_open_in(int root_fd, const char *path, int64_t flags) {
  struct open_how how = {.flags = (uint64_t)flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof how);
  return fd < 0 ? -errno : fd;
}
int atoll_open_at(int dir_fd, const char *name, int flags, int mode) {
  int fd = openat(dir_fd, name, flags | O_CLOEXEC, mode);
  return fd < 0 ? -errno : fd;
}
int atoll_make_directory(int dir_fd, const char *name) { return mkdirat(dir_fd, name, 0755) ? -errno : 0; }
int atoll_change_owner(int dir_fd, const char *name, int uid, int gid) {
  return fchownat(dir_fd, name, (uid_t)uid, (gid_t)gid, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}
int atoll_rename(int dir_fd, const char *from, const char *to) { return renameat(dir_fd, from, dir_fd, to) ? -errno : 0; }
int atoll_unlink(int dir_fd, const char *name) { return unlinkat(dir_fd, name, 0) ? -errno : 0; }
int atoll_read_link(int dir_fd, const char *name, char *target, int64_t bytes) {
  ssize_t count = readlinkat(dir_fd, name, target, (size_t)bytes);
  return count < 0 ? -errno : (int)count;
}
int64_t atoll_file_system(int fd) {
  struct statfs stats;
  return fstatfs(fd, &stats) ? -errno : (int64_t)stats.f_type;
}
int atoll_write(int fd, const char *bytes, int64_t count) {
  ssize_t written = write(fd, bytes, (size_t)count);
  return written < 0 ? -errno : (int)written;
}

/*
 * Process 1 of the agent's container: atoll-init PROGRAM ARG...
 * Starts the agent, starts it again when it dies, and reaps the orphans of the whole sandbox.
 * Ends only when the runtime has asked for it, with the agent: that stays for containers that take their time.
 *
 * Without the C library: what that does before `main` (14 system calls, 68 CPUID traps, pages
 * touched for the first time) took 6 ms in gVisor before the agent could start.
 */
#include <linux/sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>

enum { FIRST_DELAY_MS = 20, LONGEST_DELAY_MS = 2000, STEADY_SECONDS = 10, NO_HANG = 1, INTERRUPTED = -4 };

/* The kernel's own structures; masks have 64 bits. */
struct action { void *handler; unsigned long flags; void *restorer; unsigned long mask; };
struct signal { int number, error, code, unused, sender, rest[27]; };
static const unsigned long AWAITED = 1ul << (SIGCHLD - 1) | 1ul << (SIGTERM - 1);

#if defined(__x86_64__)
__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call run\n");
static inline long call(long number, long a, long b, long c, long d) {
  long result;
  register long fourth __asm__("r10") = d, fifth __asm__("r8") = 0;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth) : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
__asm__(".globl _start\n_start: mov x0, sp\n bl run\n");
static inline long call(long number, long a, long b, long c, long d) {
  register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c, x3 __asm__("x3") = d, x4 __asm__("x4") = 0;
  __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
  return x0;
}
#else
#error "atoll-init does not know how this processor calls the kernel"
#endif

static void sleep_ms(long ms) {
  struct timespec left = {ms / 1000, ms % 1000 * 1000000};
  while (call(SYS_nanosleep, (long)&left, (long)&left, 0, 0) != 0) {}
}

static long seconds(void) {
  struct timespec now;
  call(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0, 0);
  return now.tv_sec;
}

static void handle(int number, void *handler) {
  struct action action = {handler, 0, NULL, 0};
  call(SYS_rt_sigaction, number, (long)&action, 0, sizeof action.mask);
}

static void handle_all(void *handler) {
  handle(SIGINT, handler);
  handle(SIGHUP, handler);
}

static void mask(unsigned long signals) {
  call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&signals, 0, sizeof signals);
}

/* Takes the end of any child; gives its number, 0 when none has ended, or a negative error. */
static long reap(int *status, long options) { return call(SYS_wait4, -1, (long)status, options, 0); }

/* Waits until the agent has ended; gives 1 when it was asked to, from outside of the sandbox: nobody inside can look so. */
static int wait_for(long agent, int *status) {
  struct signal signal;
  int is_ending = 0;
  long ended;
  for (;;) {
    while ((ended = reap(status, NO_HANG)) > 0) if (ended == agent) return is_ending;
    if (ended < 0) return is_ending;
    long number = call(SYS_rt_sigtimedwait, (long)&AWAITED, (long)&signal, 0, sizeof AWAITED);
    if (number < 0 && number != INTERRUPTED) sleep_ms(FIRST_DELAY_MS);
    if (number != SIGTERM || signal.code != SI_USER || signal.sender != 0) continue;
    is_ending = 1;
    call(SYS_kill, agent, SIGTERM, 0, 0);
  }
}

/* Says why the agent ended, in the words of its own log. */
static void tell(int status) {
  char line[] = "{\"level\":\"error\",\"message\":\"agent ended\",\"waitStatus\":\"0x0000\"}\n";
  char *digits = line + sizeof line - 8;
  for (int i = 0; i < 4; i++) digits[i] = "0123456789abcdef"[status >> (12 - 4 * i) & 15];
  call(SYS_write, 2, (long)line, sizeof line - 1, 0);
}

/* `stack` is as the kernel left it: the count of arguments, the arguments, a zero, the environment. */
__attribute__((noreturn, used)) void run(long *stack) {
  char **argv = (char **)(stack + 1), **envp = argv + stack[0] + 1;
  long delay_ms = FIRST_DELAY_MS;
  if (stack[0] < 2) call(SYS_exit_group, 2, 0, 0, 0);
  /* Kept until they are asked for; a process 1 has no default actions. */
  mask(AWAITED);
  handle_all((void *)SIG_IGN);
  for (;;) {
    long started = seconds();
    /* The child only sets signals and executes, so it borrows this memory: a copy costs a whole address space. */
    long agent = call(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0);
    if (agent == 0) {
      handle_all((void *)SIG_DFL);
      mask(0);
      call(SYS_execve, (long)argv[1], (long)(argv + 1), (long)envp, 0);
      call(SYS_exit_group, 127, 0, 0, 0);
    }
    int status = 0;
    if (agent > 0 && wait_for(agent, &status)) call(SYS_exit_group, 0, 0, 0, 0);
    tell(status);
    if (seconds() - started >= STEADY_SECONDS) delay_ms = FIRST_DELAY_MS;
    sleep_ms(delay_ms);
    delay_ms = delay_ms * 2 > LONGEST_DELAY_MS ? LONGEST_DELAY_MS : delay_ms * 2;
    while (reap(&status, NO_HANG) > 0) {}
  }
}

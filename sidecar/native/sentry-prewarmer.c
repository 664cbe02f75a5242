/*
 * Runs ahead of gVisor's kernel process: sentry-prewarmer PROGRAM ARG0 ARG1...
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { HIGHEST_FD = 255 };

/*
 * The kernel process moves its standard streams to descriptors 253 to 255 when it has many
 * threads already. Growing the table of descriptors then waits for a grace period of the host's
 * kernel, 10 to 20 ms. With one thread it is free, and the larger table survives exec.
 */
static void grow_descriptor_table(void) {
  int fd = fcntl(0, F_DUPFD_CLOEXEC, HIGHEST_FD);
  if (fd >= 0) close(fd);
}

/*
 * gVisor asks the processor to trap each CPUID instruction of a program, where the processor can,
 * and answers it in its own process: 20 to 100 us each. The C library asks 68 times before `main`,
 * so that every start of a program costs 3 to 6 ms more than where the processor cannot trap.
 * gVisor takes a refusal as the word of such a processor. Programs then see the host's own
 * processor features, as they do there; none of them is a way out of the sandbox.
 */
static void leave_cpuid_alone(void) {
#ifdef __x86_64__
  enum { SET_CPUID = 0x1012 /* ARCH_SET_CPUID */ };
  struct sock_filter code[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_arch_prctl, 0, 4),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 2),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SET_CPUID, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENODEV),
  };
  struct sock_fprog filter = {.len = sizeof code / sizeof *code, .filter = code};
  /* Without it all is as slow as it was. */
  syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
#endif
}

int main(int argc, char **argv, char **environment) {
  if (argc < 3) return 2;
  grow_descriptor_table();
  leave_cpuid_alone();
  execve(argv[1], argv + 2, environment);
  return 127;
}

/*
 * Process 1 of the agent's container: atoll-init PROGRAM ARG...
 * Starts the agent, starts it again when it dies, and reaps the orphans of the whole sandbox.
 * Never ends by itself: its end is the sandbox's.
 */
#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_DELAY_MS = 20, LONGEST_DELAY_MS = 2000, STEADY_SECONDS = 10 };

static void sleep_ms(long ms) {
  struct timespec left = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&left, &left) != 0) {}
}

static time_t seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

int main(int argc, char **argv, char **envp) {
  long delay_ms = FIRST_DELAY_MS;
  if (argc < 2) return 2;
  /* A process 1 has no default actions; anything sent to it is for the runtime to act on. */
  signal(SIGTERM, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  for (;;) {
    time_t started = seconds();
    pid_t agent = fork(), ended;
    if (agent == 0) {
      signal(SIGTERM, SIG_DFL);
      signal(SIGINT, SIG_DFL);
      signal(SIGHUP, SIG_DFL);
      execve(argv[1], argv + 1, envp);
      _exit(127);
    }
    if (agent > 0) while ((ended = waitpid(-1, NULL, 0)) != agent) if (ended < 0) sleep_ms(1);
    if (seconds() - started >= STEADY_SECONDS) delay_ms = FIRST_DELAY_MS;
    sleep_ms(delay_ms);
    delay_ms = delay_ms * 2 > LONGEST_DELAY_MS ? LONGEST_DELAY_MS : delay_ms * 2;
    while (waitpid(-1, NULL, WNOHANG) > 0) {}
  }
}

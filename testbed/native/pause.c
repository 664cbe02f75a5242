/*
 * First process of a process namespace: it reaps the orphans of all others there.
 *   pause               waits for a signal: the image of a pod's own container
 *   pause PROGRAM ARG…  runs a program, hands signals on to it, and ends with its exit code
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t child;

static void on_end(int number) {
  if (child == 0) _exit(0);
  kill(child, number);
}

static void on_child(int number) {
  (void)number;
}

int main(int argc, char **argv) {
  sigset_t none, all;
  struct sigaction end = {.sa_handler = on_end}, reap = {.sa_handler = on_child};
  if (argc > 1 && strcmp(argv[1], "-v") == 0) return puts("pause of the testbed") < 0;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &none);
  sigaction(SIGTERM, &end, NULL);
  sigaction(SIGINT, &end, NULL);
  sigaction(SIGCHLD, &reap, NULL);
  if (argc > 1 && (child = fork()) == 0) {
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    _exit(127);
  }
  if (child < 0) return perror("fork"), 1;
  for (;;) {
    int status;
    pid_t ended;
    while ((ended = waitpid(-1, &status, WNOHANG)) > 0)
      if (ended == child) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    /* Signals are let in only here, so that none comes between the question and the wait. */
    sigsuspend(&none);
  }
}

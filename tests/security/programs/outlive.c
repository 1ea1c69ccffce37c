/* outlive KIND NAME: tries to be there when its step has ended, under the process name NAME.
   leader: the first thread ends, another runs (shown as a zombie).  deaf: ignores every signal.
   session: a session and a group of its own.  chain N FILE: N lines of processes that fork and end, for a minute, each
   of which touches FILE. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void *run(void *nothing) { sleep(120); syscall(SYS_exit_group, 0); return nothing; }

int main(int count, char **words) {
  if (count < 3) return 2;
  if (fork()) { usleep(200000); return 0; }
  prctl(PR_SET_NAME, words[2]);
  close(0); close(1); close(2);
  if (!strcmp(words[1], "leader")) {
    pthread_t thread;
    setsid();
    pthread_create(&thread, 0, run, 0);
    syscall(SYS_exit, 0);
  }
  if (!strcmp(words[1], "deaf")) {
    for (int number = 1; number < 65; number++) signal(number, SIG_IGN);
    run(0);
  }
  if (!strcmp(words[1], "session")) { setsid(); run(0); }
  if (!strcmp(words[1], "chain")) {
    int lines = atoi(words[3]);
    time_t end = time(0) + 60;
    while (lines-- > 1 && fork()) ;
    while (time(0) < end) { if (fork()) _exit(0); setsid(); utimensat(AT_FDCWD, words[4], 0, 0); }
  }
  return 0;
}

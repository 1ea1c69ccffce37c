/* Makes system calls that reach into other processes or the kernel, and prints how each was answered. The arguments do nothing,
   even where nothing protects. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static void call(const char *name, long number, long a, long b, long c, long d, long e) {
  errno = 0;
  long answer = syscall(number, a, b, c, d, e);
  printf("%s %d\n", name, answer < 0 ? errno : 0);
}

int main(void) {
  long self = getpid();
  call("ptrace", SYS_ptrace, 0, 0, 0, 0, 0); /* PTRACE_TRACEME */
  call("process_vm_readv", SYS_process_vm_readv, self, 0, 0, 0, 0);
  call("process_vm_writev", SYS_process_vm_writev, self, 0, 0, 0, 0);
  call("kcmp", SYS_kcmp, self, self, 0, 0, 0);
  call("pidfd_getfd", 438, -1, 0, 0, 0, 0);
  call("keyctl", SYS_keyctl, 0, -1, 0, 0, 0);
  call("bpf", SYS_bpf, 99, 0, 0, 0, 0);
  call("userfaultfd", SYS_userfaultfd, 1, 0, 0, 0, 0);
  call("io_uring_setup", 425, 0, 0, 0, 0, 0);
  call("mount", SYS_mount, 0, (long)"/no-such-place", (long)"tmpfs", 0, 0);
  call("umount2", SYS_umount2, (long)"/no-such-place", 0, 0, 0, 0);
  call("open_tree", 428, -1, 0, 0, 0, 0);
  call("unshare", SYS_unshare, 0x20000, 0, 0, 0, 0);
  call("newer", 600, 0, 0, 0, 0, 0);
  return 0;
}

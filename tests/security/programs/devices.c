/* devices PATH...: opens each and prints how that was answered (0: it is open). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int main(int count, char **words) {
  for (int i = 1; i < count; i++) {
    errno = 0;
    int fd = open(words[i], O_RDONLY | O_NONBLOCK | O_NOCTTY);
    printf("%s %d\n", words[i], fd < 0 ? errno : 0);
  }
  return 0;
}

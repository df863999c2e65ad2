// SPDX-License-Identifier: Apache-2.0
// flood: as fast as it can, a process of the host in a mount namespace of its own executes "/bin/true flood".
// Ends when stdin closes, and says how many there were.
#define _GNU_SOURCE
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    struct pollfd end = {.fd = 0, .events = POLLIN};
    long count = 0;
    while (poll(&end, 1, 0) == 0) {
        pid_t child = vfork();
        if (child == 0) {
            if (unshare(CLONE_NEWNS) == 0)
                execl("/bin/true", "true", "flood", NULL);
            _exit(127);
        }
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
            return 1;
        count++;
    }
    printf("%ld\n", count);
    return 0;
}

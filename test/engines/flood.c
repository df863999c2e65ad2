// SPDX-License-Identifier: Apache-2.0
// flood: as fast as it can, a process of the host in a mount namespace of its own executes "/bin/true flood".
// Ends after COUNT of them or, without, when stdin closes, and says how many there were.
#define _GNU_SOURCE
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct pollfd end = {.fd = 0, .events = POLLIN};
    long count = 0;
    long limit = argc > 1 ? atol(argv[1]) : 0;
    while (limit > 0 ? count < limit : poll(&end, 1, 0) == 0) {
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

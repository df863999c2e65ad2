/* pace FILE RATE SECONDS: executes FILE so many times a second, evenly; prints how many succeeded. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000LL

int main(int count, char **words) {
    if (count != 4)
        return 255;
    char *argv[] = {words[1], NULL}, *environment[] = {NULL};
    long long rate = atoll(words[2]), total = rate * atoll(words[3]), executed = 0;
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (long long i = 0; i < total; i++) {
        int status = -1;
        long long at = start.tv_nsec + i * NS_PER_S / rate;
        struct timespec when = {start.tv_sec + at / NS_PER_S, at % NS_PER_S};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR)
            ;
        pid_t child = vfork();
        if (child == 0) {
            execve(words[1], argv, environment);
            _exit(127);
        }
        if (child > 0 && waitpid(child, &status, 0) == child && status == 0)
            executed++;
    }
    printf("%lld\n", executed);
    return 0;
}

/*
 * The workload: processes that do nothing but vfork and execve a tiny static binary, for some seconds.
 *
 *   execgen NAME PROCESSES SECONDS      runs PREFIX NAME; prints {"executed":N,"seconds":S}
 *
 * The binary's whole path never stands in this process's own arguments, so that counting it in a tracer's
 * output counts what was executed here and nothing else.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_PROCESSES 256
#define CACHE_LINE 64

/* One per process, each in a cache line of its own. */
struct counter {
    _Alignas(CACHE_LINE) long executed;
};

static double now_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

/* Returns false when the binary did not run or did not end well. */
static int execute(char *path) {
    char *argv[] = {path, NULL}, *envp[] = {NULL};
    int status = -1;
    pid_t child = vfork();

    if (child == 0) {
        execve(path, argv, envp);
        _exit(127);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static int work(char *path, double end, struct counter *counter) {
    while (now_seconds() < end) {
        if (!execute(path))
            return 1;
        counter->executed++;
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    char path[4096];
    int processes = atoi(argv[2]), failed = 0, status;
    double seconds = atof(argv[3]), start = now_seconds();
    struct counter *counters = mmap(NULL, MAX_PROCESSES * sizeof(struct counter), PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    long executed = 0;

    if (processes < 1 || processes > MAX_PROCESSES || counters == MAP_FAILED)
        return 2;
    snprintf(path, sizeof(path), "%s%s", PREFIX, argv[1]);
    for (int i = 0; i < processes; i++) {
        if (fork() == 0)
            _exit(work(path, start + seconds, &counters[i]));
    }
    while (wait(&status) > 0)
        failed |= status != 0;
    for (int i = 0; i < processes; i++)
        executed += counters[i].executed;
    printf("{\"executed\":%ld,\"seconds\":%.3f}\n", executed, now_seconds() - start);
    return failed;
}

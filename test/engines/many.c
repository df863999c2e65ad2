// SPDX-License-Identifier: Apache-2.0
// many COUNT CGROUPS: as many containers as asked for, as far as the kernel can tell. Each is a process in a
// mount namespace of its own, and in a cgroup CGROUPS/<number as 64 hex digits>. Says "ready" when all are
// there. At each line on stdin, every one of them executes "/bin/true <number> <line number>" in a child. All
// end when stdin closes.
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void enter_cgroup(const char *cgroups, int number) {
    char path[512];
    snprintf(path, sizeof(path), "%s/%064x", cgroups, number);
    if (mkdir(path, 0755) != 0)
        fail(path);
    strncat(path, "/cgroup.procs", sizeof(path) - strlen(path) - 1);
    FILE *procs = fopen(path, "w");
    if (!procs || fprintf(procs, "%d", getpid()) < 0 || fclose(procs) != 0)
        fail(path);
}

static void container(const char *cgroups, int number, const sigset_t *order, int answers) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    enter_cgroup(cgroups, number);
    if (unshare(CLONE_NEWNS) != 0)
        fail("unshare");
    for (int round = 1; write(answers, "r", 1) == 1; round++) {
        int signal;
        sigwait(order, &signal);
        char text[16], count[16];
        snprintf(text, sizeof(text), "%d", number);
        snprintf(count, sizeof(count), "%d", round);
        pid_t child = fork();
        if (child == 0) {
            execl("/bin/true", "true", text, count, NULL);
            _exit(127);
        }
        waitpid(child, NULL, 0);
    }
    exit(0);
}

static void wait_for_all(int answers, int count) {
    char answer;
    for (int i = 0; i < count; i++)
        if (read(answers, &answer, 1) != 1)
            fail("a container ended");
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    int count = atoi(argv[1]);
    int answers[2];
    pid_t *children = calloc(count, sizeof(*children));
    sigset_t order;
    sigemptyset(&order);
    sigaddset(&order, SIGUSR1);
    if (!children || pipe(answers) != 0 || sigprocmask(SIG_BLOCK, &order, NULL) != 0)
        fail("setup");
    for (int i = 0; i < count; i++) {
        children[i] = fork();
        if (children[i] < 0)
            fail("fork");
        if (children[i] == 0)
            container(argv[2], i + 1, &order, answers[1]);
    }
    wait_for_all(answers[0], count);
    puts("ready");
    fflush(stdout);
    char line[64];
    while (fgets(line, sizeof(line), stdin)) {
        for (int i = 0; i < count; i++)
            kill(children[i], SIGUSR1);
        wait_for_all(answers[0], count);
        puts("done");
        fflush(stdout);
    }
    for (int i = 0; i < count; i++)
        kill(children[i], SIGKILL);
    while (wait(NULL) > 0)
        ;
    return 0;
}

/*
 * endings: ends processes in all kinds of ways, each after an exec of this program, and tells what wait()
 * said of them, in a line each:
 *
 *   NAME PID STATUS LIFETIME
 *
 * LIFETIME is in nanoseconds, from before the fork to after the wait.
 */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How often what depends on who comes first is done. */
#define RACES 20
#define RACERS 4

static const char *self;
static pthread_barrier_t barrier;

static void become(const char *deed) {
    execl(self, self, deed, NULL);
    _exit(99);
}

static void sleep_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void in_thread(void *(*run)(void *)) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, NULL))
        _exit(98);
}

/* Ends this thread only. */
static void end_thread(int code) {
    syscall(SYS_exit, code);
}

static void limit_core(rlim_t size) {
    struct rlimit limit = {size, size};
    setrlimit(RLIMIT_CORE, &limit);
}

static void code_0(void) {
    exit(0);
}
static void code_1(void) {
    exit(1);
}
static void code_255(void) {
    exit(255);
}
static void killed(void) {
    kill(getpid(), SIGKILL);
}
static void terminated(void) {
    raise(SIGTERM);
}
static void real_time(void) {
    raise(SIGRTMIN + 1);
}

static void faulted(void) {
    limit_core(0);
    *(volatile int *)8 = 1;
}

static void dumped(void) {
    limit_core(1 << 20);
    abort();
}

static void strict(void) {
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    getpid();
    syscall(SYS_getppid);
}

static void filtered(void) {
    struct sock_filter deny = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD);
    struct sock_fprog program = {1, &deny};
    limit_core(0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
    syscall(SYS_getppid);
}

static void *exit_7(void *arg) {
    exit(7);
}
static void by_thread(void) {
    in_thread(exit_7);
    pause();
}

static void *end_with_4(void *arg) {
    sleep_ms(50);
    end_thread(4);
    return NULL;
}
static void leader_first(void) {
    in_thread(end_with_4);
    end_thread(3);
}

static void *kill_later(void *arg) {
    sleep_ms(50);
    kill(getpid(), SIGUSR1);
    return NULL;
}
static void leader_first_killed(void) {
    in_thread(kill_later);
    end_thread(3);
}

static void *become_code_1(void *arg) {
    become("code_1");
    return NULL;
}
static void exec_by_thread(void) {
    in_thread(become_code_1);
    pause();
}

static void exec_twice(void) {
    sleep_ms(200);
    become("code_255");
}

static void sleeper(void) {
    sleep_ms(100);
    exit(0);
}

/* The child is not executed: only the parent's end is shown. */
static void parent(void) {
    if (fork() == 0)
        _exit(6);
    wait(NULL);
    exit(5);
}

static void *race_to_exec(void *arg) {
    pthread_barrier_wait(&barrier);
    become("code_1");
    return NULL;
}
static void killed_in_exec(void) {
    pthread_barrier_init(&barrier, NULL, 2);
    in_thread(race_to_exec);
    pthread_barrier_wait(&barrier);
    for (volatile int i = getpid() % 64 * 1000; i > 0; i--)
        ;
    kill(getpid(), SIGKILL);
}

static void *race_to_end(void *arg) {
    pthread_barrier_wait(&barrier);
    end_thread(2);
    return NULL;
}
static void all_at_once(void) {
    pthread_barrier_init(&barrier, NULL, RACERS);
    for (int i = 1; i < RACERS; i++)
        in_thread(race_to_end);
    race_to_end(NULL);
}

#define DEED(name, times)                                                                                    \
    { #name, name, times }

static const struct {
    const char *name;
    void (*act)(void);
    int times;
} deeds[] = {
    DEED(code_0, 1),          DEED(code_1, 1),     DEED(code_255, 1),
    DEED(killed, 1),          DEED(terminated, 1), DEED(real_time, 1),
    DEED(faulted, 1),         DEED(dumped, 1),     DEED(strict, 1),
    DEED(filtered, 1),        DEED(by_thread, 1),  DEED(leader_first, 1),
    DEED(exec_by_thread, 1),  DEED(exec_twice, 1), DEED(leader_first_killed, 1),
    DEED(sleeper, 1),         DEED(parent, 1),     DEED(killed_in_exec, RACES),
    DEED(all_at_once, RACES),
};
#define DEEDS (sizeof(deeds) / sizeof(deeds[0]))

static long now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static void tell(const char *name, const char *deed, bool shares_memory) {
    int status = -1;
    long begin = now_ns();
    pid_t pid = shares_memory ? vfork() : fork();
    if (pid == 0)
        become(deed);
    waitpid(pid, &status, 0);
    printf("%s %d %d %ld\n", name, pid, status, now_ns() - begin);
    fflush(stdout);
}

int main(int count, char **words) {
    self = words[0];
    for (size_t i = 0; count > 1 && i < DEEDS; i++)
        if (strcmp(deeds[i].name, words[1]) == 0)
            deeds[i].act();
    if (count > 1)
        return 97;
    for (size_t i = 0; i < DEEDS; i++)
        for (int n = 0; n < deeds[i].times; n++)
            tell(deeds[i].name, deeds[i].name, false);
    tell("vforked", "code_1", true);
    return 0;
}

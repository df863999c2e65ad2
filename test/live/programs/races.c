/*
 * Executes programs under the circumstances that are hardest to trace:
 *
 *   races race COUNT FILE           COUNT threads execute FILE at once, with their number as argument
 *   races killed FILE BLOCKED       execs of BLOCKED that are killed, and others under the same ids; prints
 * the ids of the process and of the thread races interrupted BLOCKED       an exec of BLOCKED that a signal
 * interrupts races crowd COUNT FILE BROKEN   COUNT processes are within an exec at once, half of them of
 * BROKEN; prints how many execs succeeded and failed races seccomp FILE              execs that a seccomp
 * filter answers in the kernel's place races traced FILE               execs whose results a tracer turns
 * around races again COUNT               executes itself COUNT times races orphan FILE               executes
 * FILE once its parent is gone, with its new parent as argument
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_BYTES 8192

static char *const environment[] = {NULL};
static char own_path[4096];

static void check(int ok, const char *what) {
    if (ok)
        return;
    perror(what);
    exit(255);
}

static void execute(const char *file, const char *name, const char *argument) {
    execve(file, (char *[]){(char *)name, (char *)argument, NULL}, environment);
}

/* The status with which a child ends. */
static int status_of(pid_t child) {
    int status = -1;
    check(waitpid(child, &status, 0) == child, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

/* Makes execs of the file wait when they open it, by a lease (fcntl(2)); they wait until it is given back. */
static int block(const char *file) {
    signal(SIGIO, SIG_IGN);
    int fd = open(file, O_RDONLY);
    check(fd >= 0 && !fcntl(fd, F_SETLEASE, F_WRLCK), file);
    return fd;
}

static void unblock(int fd) {
    check(!fcntl(fd, F_SETLEASE, F_UNLCK), "unblock");
    close(fd);
}

static void wait_until_in_exec(pid_t tid) {
    char path[64], call[16] = "", expected[16];
    snprintf(path, sizeof(path), "/proc/%d/syscall", tid);
    snprintf(expected, sizeof(expected), "%d ", SYS_execve);
    for (int tries = 0; tries < 20000; tries++) {
        int fd = open(path, O_RDONLY);
        check(fd >= 0 && read(fd, call, sizeof(call)) >= 0, path);
        close(fd);
        if (!strncmp(call, expected, strlen(expected)))
            return;
        usleep(1000);
    }
    check(0, "a process that is not within its exec");
}

/*
 * A page that execs wait for as they read the path in it, until it is given (userfaultfd(2)). Cheaper than a
 * lease, where every exec that waits looks at all that do.
 */
struct slow_page {
    int fd;
    char *bytes;
};

#define PAGE_BYTES 4096

static struct slow_page make_slow_page(void) {
    struct slow_page page = {.fd = syscall(SYS_userfaultfd, O_CLOEXEC)};
    struct uffdio_api api = {.api = UFFD_API};
    check(page.fd >= 0 && !ioctl(page.fd, UFFDIO_API, &api), "userfaultfd");
    page.bytes = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_register area = {
        .range = {.start = (uintptr_t)page.bytes, .len = PAGE_BYTES},
        .mode = UFFDIO_REGISTER_MODE_MISSING,
    };
    check(page.bytes != MAP_FAILED && !ioctl(page.fd, UFFDIO_REGISTER, &area), "slow page");
    return page;
}

static void give_page(const struct slow_page *page, const void *content) {
    struct uffdio_copy copy = {
        .dst = (uintptr_t)page->bytes,
        .src = (uintptr_t)content,
        .len = PAGE_BYTES,
    };
    check(!ioctl(page->fd, UFFDIO_COPY, &copy), "page");
}

struct racer {
    const char *file;
    char number[16];
    volatile pid_t tid;
};

static void *run_race(void *arg) {
    struct racer *racer = arg;
    racer->tid = gettid();
    execute(racer->file, "racer", racer->number);
    return NULL;
}

static int race(char **words) {
    static char path[PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
    const int count = atoi(words[0]);
    struct slow_page page = make_slow_page();
    struct racer *racers = calloc(count, sizeof(*racers));
    pthread_t thread;
    for (int i = 0; i < count; i++) {
        racers[i].file = page.bytes;
        snprintf(racers[i].number, sizeof(racers[i].number), "%d", i);
        check(!pthread_create(&thread, NULL, run_race, &racers[i]), "thread");
    }
    for (int i = 0; i < count; i++) {
        while (racers[i].tid == 0)
            sched_yield();
        wait_until_in_exec(racers[i].tid);
    }
    strcpy(path, words[1]);
    give_page(&page, path);
    pause();
    return 255;
}

/*
 * clone3(2) in line, so that a thread may run on its parent's stack while that waits for it (CLONE_VFORK):
 * there is no function to return from.
 */
static inline __attribute__((always_inline)) long clone3(struct clone_args *args) {
#if defined(__x86_64__)
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(SYS_clone3), "D"(args), "S"(sizeof(*args))
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long number __asm__("x8") = SYS_clone3;
    register long result __asm__("x0") = (long)args;
    register long size __asm__("x1") = sizeof(*args);
    __asm__ volatile("svc 0" : "+r"(result) : "r"(number), "r"(size) : "memory");
    return result;
#endif
}

static volatile pid_t blocked_tid;

static void *run_blocked(void *path) {
    blocked_tid = gettid();
    execute(path, "never", NULL);
    return NULL;
}

/* Kills a process within an exec; its id is then that of another, which fails to execute, and executes. */
static pid_t reuse_process(const char *file, const char *blocked) {
    int lease = block(blocked);
    pid_t child = fork();
    if (child == 0) {
        execute(blocked, "never", NULL);
        _exit(255);
    }
    wait_until_in_exec(child);
    kill(child, SIGKILL);
    check(status_of(child) == 256 + SIGKILL, "killed process");

    uint64_t id = child;
    struct clone_args args = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&id, .set_tid_size = 1};
    pid_t other = clone3(&args);
    if (other == 0) {
        execute("/nothing/here", "next", NULL);
        execute(file, "next but one", NULL);
        _exit(255);
    }
    check(other == child && status_of(other) == 0, "process of the same id");
    unblock(lease);
    return child;
}

/* Executes itself, which kills a thread within an exec, and goes on with reuse_thread(). */
static int killed(char **words) {
    pid_t process = reuse_process(words[0], words[1]);
    /* Not by a lease: before Linux 6.9, threads let one another open only one file to execute. */
    struct slow_page page = make_slow_page();
    pthread_t thread;
    check(!pthread_create(&thread, NULL, run_blocked, page.bytes), "thread");
    while (blocked_tid == 0)
        sched_yield();
    wait_until_in_exec(blocked_tid);
    printf("%d %d\n", process, blocked_tid);
    fflush(stdout);

    char tid[16];
    snprintf(tid, sizeof(tid), "%d", blocked_tid);
    execve(own_path, (char *[]){"races", "reuse_thread", tid, words[0], NULL}, environment);
    return 255;
}

static int reuse_thread(char **words) {
    uint64_t id = atoi(words[0]);
    struct clone_args args = {
        .flags = CLONE_VM | CLONE_VFORK | CLONE_THREAD | CLONE_SIGHAND | CLONE_FS | CLONE_FILES,
        .set_tid = (uintptr_t)&id,
        .set_tid_size = 1,
    };
    long result;
    /* The kernel gives the id free a little after the thread's end. */
    while ((result = clone3(&args)) == -EEXIST)
        usleep(1000);
    if (result == 0) {
        execute("/nothing/here", "next", NULL);
        execute(words[1], "next but one", NULL);
        _exit(254);
    }
    errno = -result;
    check(0, "thread of the same id");
    return 255;
}

static void do_nothing(int signal) {}

static int interrupted(char **words) {
    int lease = block(words[0]);
    pid_t child = fork();
    if (child == 0) {
        struct sigaction action = {.sa_handler = do_nothing};
        sigaction(SIGUSR1, &action, NULL);
        execute(words[0], words[0], NULL);
        _exit(errno);
    }
    wait_until_in_exec(child);
    kill(child, SIGUSR1);
    printf("%d\n", child);
    int status = status_of(child);
    unblock(lease);
    return status == EINTR ? 0 : 1;
}

struct one_of_many {
    const char *file;
    char number[16];
};

static int run_one_of_many(void *arg) {
    const struct one_of_many *one = arg;
    execute(one->file, "one of many", one->number);
    _exit(1);
}

static int crowd(char **words) {
    static char paths[2][PAGE_BYTES / 2] __attribute__((aligned(PAGE_BYTES)));
    const int count = atoi(words[0]);
    struct slow_page page = make_slow_page();
    struct one_of_many *all = calloc(count, sizeof(*all));
    char *stacks = malloc((size_t)count * STACK_BYTES);
    pid_t *pids = calloc(count, sizeof(*pids));
    int statuses[2] = {0, 0};

    /* Processes, as threads of one have to wait for one another; with common memory, as there are so many. */
    for (int i = 0; i < count; i++) {
        all[i].file = page.bytes + i % 2 * sizeof(paths[0]);
        snprintf(all[i].number, sizeof(all[i].number), "%d", i);
        pids[i] = clone(run_one_of_many, stacks + (size_t)(i + 1) * STACK_BYTES, CLONE_VM | SIGCHLD, &all[i]);
        check(pids[i] > 0, "clone");
    }
    for (int i = 0; i < count; i++)
        wait_until_in_exec(pids[i]);
    strcpy(paths[0], words[1]);
    strcpy(paths[1], words[2]);
    give_page(&page, paths);
    for (int i = 0; i < count; i++)
        statuses[status_of(pids[i]) != 0]++;
    printf("%d %d\n", statuses[0], statuses[1]);
    return 0;
}

/* execve fails with EPERM, execveat only seems to succeed. */
static void install_filter(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execve, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execveat, 2, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
    };
    struct sock_fprog filter = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    check(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges");
    check(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), "filter");
}

static int seccomp(char **words) {
    char *argv[] = {"pretended", NULL};
    install_filter();
    execute(words[0], "refused", NULL);
    int error = errno;
    long pretended = syscall(SYS_execveat, AT_FDCWD, words[0], argv, environment, 0);
    return error == EPERM && pretended == 0 ? 0 : 1;
}

static void set_result(pid_t pid, long result) {
    struct user_regs_struct regs;
    struct iovec all = {.iov_base = &regs, .iov_len = sizeof(regs)};
    check(!ptrace(PTRACE_GETREGSET, pid, 1 /* NT_PRSTATUS */, &all), "registers");
#if defined(__x86_64__)
    regs.rax = result;
#elif defined(__aarch64__)
    regs.regs[0] = result;
#endif
    check(!ptrace(PTRACE_SETREGSET, pid, 1, &all), "registers");
}

/* Makes of each failure a success, and of each success a failure. */
static void turn_result(pid_t pid) {
    struct __ptrace_syscall_info info;
    check(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) > 0, "system call");
    if (info.op == PTRACE_SYSCALL_INFO_EXIT)
        set_result(pid, info.exit.rval == 0 ? -EPERM : 0);
}

static int traced(char **words) {
    pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        long result = syscall(SYS_execve, "/nothing/here", (char *[]){"turned", NULL}, environment);
        if (result == 0)
            execute(words[0], "turned too", NULL);
        _exit(255);
    }
    int status = 0;
    check(waitpid(child, &status, 0) == child && WIFSTOPPED(status), "tracee");
    check(!ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC), "tracee");
    while (WIFSTOPPED(status)) {
        if (WSTOPSIG(status) == (SIGTRAP | 0x80))
            turn_result(child);
        ptrace(PTRACE_SYSCALL, child, NULL, NULL);
        check(waitpid(child, &status, 0) == child, "tracee");
    }
    printf("%d\n", child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int again(char **words) {
    char number[16];
    int left = atoi(words[0]);
    if (left == 0)
        return 0;
    snprintf(number, sizeof(number), "%d", left - 1);
    execve(own_path, (char *[]){"races", "again", number, NULL}, environment);
    return 255;
}

static int orphan(char **words) {
    pid_t parent = getpid();
    if (fork() != 0)
        return 0;
    while (getppid() == parent)
        usleep(1000);
    char number[16];
    snprintf(number, sizeof(number), "%d", getppid());
    execute(words[0], "orphan", number);
    return 255;
}

static const struct {
    const char *name;
    int words;
    int (*act)(char **words);
} deeds[] = {
    {"race", 2, race},
    {"killed", 2, killed},
    {"reuse_thread", 2, reuse_thread},
    {"crowd", 3, crowd},
    {"interrupted", 1, interrupted},
    {"seccomp", 1, seccomp},
    {"traced", 1, traced},
    {"again", 1, again},
    {"orphan", 1, orphan},
};

int main(int count, char **words) {
    check(readlink("/proc/self/exe", own_path, sizeof(own_path) - 1) > 0, "own path");
    for (size_t i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++) {
        if (count > 1 && !strcmp(words[1], deeds[i].name) && count == 2 + deeds[i].words)
            return deeds[i].act(words + 2);
    }
    fprintf(stderr, "usage: see races.c\n");
    return 255;
}

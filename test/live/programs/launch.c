/*
 * Executes FILE in a given way, with the arguments that it reads from standard input, each ended by a NUL
 * byte:
 *
 *   launch path FILE     execve(FILE)
 *   launch thread FILE   the same, from a thread that is not the leader
 *   launch dirfd FILE    execveat(fd of FILE's directory, FILE's name)
 *   launch fd FILE       execveat(fd of FILE, "", AT_EMPTY_PATH)
 *   launch memfd FILE    the same with a copy of FILE in memory
 *   launch deleted FILE  the same with FILE removed
 *   launch fexecve FILE  fexecve(fd of FILE)
 *   launch link FILE     execveat with AT_SYMLINK_NOFOLLOW
 *   launch busy FILE     execve(FILE), which is open for writing
 *   launch badpath FILE  execve of a path that cannot be read
 *   launch badargv FILE  execve(FILE) with an argument vector that cannot be read
 *   launch badarg FILE   the same with a last argument that cannot be read
 *   launch noargv FILE   the same without an argument vector
 *
 * It prints the descriptor that it uses. When the exec fails, errno is the exit status.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

static char *const environment[] = {NULL};
/* Not on the stack: it has an address that a program to be executed may want, too. */
static char file[8192];
static char **argv;

static void check(int ok, const char *what) {
    if (ok)
        return;
    perror(what);
    exit(255);
}

static char **read_arguments(void) {
    size_t size = 0, room = 1 << 20;
    char *bytes = malloc(room);
    for (ssize_t got; (got = read(0, bytes + size, room - size)) > 0; size += got)
        check(size + got < room, "too many arguments");

    size_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += bytes[i] == '\0';
    char **list = calloc(count + 1, sizeof(*list));
    for (size_t i = 0; i < count; i++) {
        list[i] = bytes;
        bytes += strlen(bytes) + 1;
    }
    return list;
}

static int tell(int fd) {
    check(fd >= 0, file);
    printf("%d\n", fd);
    fflush(stdout);
    return fd;
}

static int copy_to_memory(void) {
    int from = open(file, O_RDONLY);
    int to = memfd_create("copy", 0);
    check(from >= 0 && to >= 0, file);
    while (sendfile(to, from, NULL, 1 << 20) > 0)
        ;
    return to;
}

/* glibc has no execveat before 2.34. */
static void exec_at(int fd, const char *name, int flags) {
    syscall(SYS_execveat, fd, name, argv, environment, flags);
}

static void *exec_path(void *unused) {
    execve(file, argv, environment);
    exit(errno);
}

static void exec_thread(void) {
    pthread_t thread;
    check(!pthread_create(&thread, NULL, exec_path, NULL), "thread");
    pthread_join(thread, NULL);
}

static void exec_dirfd(void) {
    exec_at(tell(open(dirname(strdup(file)), O_PATH)), basename(strdup(file)), 0);
}

static void exec_fd(void) {
    exec_at(tell(open(file, O_PATH)), "", AT_EMPTY_PATH);
}

static void exec_memfd(void) {
    exec_at(tell(copy_to_memory()), "", AT_EMPTY_PATH);
}

static void exec_deleted(void) {
    int fd = open(file, O_PATH);
    check(!unlink(file), file);
    exec_at(tell(fd), "", AT_EMPTY_PATH);
}

static void exec_fexecve(void) {
    fexecve(tell(open(file, O_RDONLY)), argv, environment);
}

static void exec_link(void) {
    exec_at(AT_FDCWD, file, AT_SYMLINK_NOFOLLOW);
}

static void exec_busy(void) {
    check(open(file, O_RDWR) >= 0, file);
    exec_path(NULL);
}

/* What no program has mapped. */
#define NOWHERE ((void *)8)

static void exec_badpath(void) {
    execve(NOWHERE, argv, environment);
}

static void exec_badargv(void) {
    execve(file, NOWHERE, environment);
}

static void exec_badarg(void) {
    char **last = argv;
    while (last[1] != NULL)
        last++;
    *last = NOWHERE;
    exec_path(NULL);
}

static void exec_noargv(void) {
    syscall(SYS_execve, file, NULL, environment);
}

static void exec_plain(void) {
    exec_path(NULL);
}

static const struct {
    const char *name;
    void (*exec)(void);
} ways[] = {
    {"path", exec_plain},    {"thread", exec_thread},   {"dirfd", exec_dirfd},     {"fd", exec_fd},
    {"memfd", exec_memfd},   {"deleted", exec_deleted}, {"fexecve", exec_fexecve}, {"link", exec_link},
    {"busy", exec_busy},     {"badpath", exec_badpath}, {"badargv", exec_badargv}, {"badarg", exec_badarg},
    {"noargv", exec_noargv},
};

int main(int count, char **words) {
    check(count == 3, "usage: launch WAY FILE");
    check(strlen(words[2]) < sizeof(file), "file");
    strcpy(file, words[2]);
    argv = read_arguments();
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (!strcmp(words[1], ways[i].name))
            ways[i].exec();
    }
    return errno;
}

/*
 * Executes FILE in a given way, with the arguments that it reads from standard input, each ended by a NUL
 * byte:
 *
 *   launch path FILE     execve(FILE)
 *   launch thread FILE   the same, from a thread that is not the leader
 *   launch dirfd FILE    execveat(fd of FILE's directory, FILE's name)
 *   launch fd FILE       execveat(fd of FILE, "", AT_EMPTY_PATH)
 *   launch memfd FILE    the same with a copy of FILE in memory
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
static const char *file;
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

int main(int count, char **words) {
    check(count == 3, "usage: launch path|thread|dirfd|fd|memfd FILE");
    const char *way = words[1];
    file = words[2];
    argv = read_arguments();

    if (!strcmp(way, "thread")) {
        pthread_t thread;
        check(!pthread_create(&thread, NULL, exec_path, NULL), "thread");
        pthread_join(thread, NULL);
    }
    if (!strcmp(way, "dirfd"))
        exec_at(tell(open(dirname(strdup(file)), O_PATH)), basename(strdup(file)), 0);
    else if (!strcmp(way, "fd"))
        exec_at(tell(open(file, O_PATH)), "", AT_EMPTY_PATH);
    else if (!strcmp(way, "memfd"))
        exec_at(tell(copy_to_memory()), "", AT_EMPTY_PATH);
    else
        exec_path(NULL);
    return errno;
}

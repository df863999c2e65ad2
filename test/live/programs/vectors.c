/*
 * Executes FILE with vectors that no library makes. Standard input has their strings, each ended by a NUL
 * byte: `aX` is the argument X, `eX` the environment's X, and `w` an argument at an address where nothing is.
 *
 *   vectors plain FILE       as they are
 *   vectors untouched FILE   the second argument lies in a mapped file, of which only the first page was
 * touched vectors nowhere FILE     both vectors are where nothing is
 *
 * When the exec fails, errno is the exit status. Called with less, it returns the number of its arguments.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROOM (8 << 20)
#define NOWHERE ((char *)16)

static void check(int ok, const char *what) {
    if (ok)
        return;
    perror(what);
    exit(255);
}

/* A copy of the text in pages that are not there, but for the first. */
static char *untouched(const char *text) {
    char name[] = "/tmp/ig-vectors-XXXXXX";
    size_t size = strlen(text) + 1;
    int fd = mkstemp(name);
    check(fd >= 0 && !unlink(name), name);
    check(write(fd, text, size) == (ssize_t)size, "write");
    char *mapped = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    check(mapped != MAP_FAILED, "mmap");
    /* Otherwise the kernel maps what lies around, too. */
    check(!madvise(mapped, size, MADV_RANDOM), "madvise");
    *(volatile char *)mapped;
    return mapped;
}

int main(int count, char **words) {
    if (count < 2)
        return count;
    check(count == 3, "usage: vectors plain|untouched|nowhere FILE");
    char *bytes = malloc(ROOM);
    size_t size = 0;
    for (ssize_t got; (got = read(0, bytes + size, ROOM - size)) > 0; size += got)
        check(size + got < ROOM, "too many strings");

    char **argv = calloc(size + 1, sizeof(*argv)), **envp = calloc(size + 1, sizeof(*envp));
    size_t arguments = 0, variables = 0;
    for (char *text = bytes; text < bytes + size; text += strlen(text) + 1) {
        if (*text == 'e')
            envp[variables++] = text + 1;
        else
            argv[arguments++] = *text == 'a' ? text + 1 : NOWHERE;
    }
    if (!strcmp(words[1], "untouched"))
        argv[1] = untouched(argv[1]);
    if (!strcmp(words[1], "nowhere"))
        execve(words[2], (char **)NOWHERE, (char **)NOWHERE);
    else
        execve(words[2], argv, envp);
    return errno;
}

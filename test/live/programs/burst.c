/*
 * burst COUNT FILE [BYTES]: executes FILE COUNT times, one after the other, as fast as it can; prints how
 * many succeeded. With BYTES, each has an argument of that many.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **words) {
    if (count != 3 && count != 4)
        return 255;
    char number[16];
    char *padding = NULL;
    if (count == 4) {
        size_t size = strtoul(words[3], NULL, 10);
        padding = memset(calloc(size + 1, 1), 'x', size);
    }
    char *argv[] = {words[2], number, padding, NULL};
    char *environment[] = {NULL};
    long executed = 0;
    for (long i = 0; i < atol(words[1]); i++) {
        int status = -1;
        snprintf(number, sizeof(number), "%ld", i);
        pid_t child = vfork();
        if (child == 0) {
            execve(words[2], argv, environment);
            _exit(127);
        }
        if (child > 0 && waitpid(child, &status, 0) == child && status == 0)
            executed++;
    }
    printf("%ld\n", executed);
    return 0;
}

/*
 * stalled BYTES_PER_SECOND COMMAND [ARGUMENT...]: runs the command on a terminal of its own, which is read
 * only so fast, and not at all any more after SIGUSR1. What it reads goes to stdout; what comes on stdin is
 * typed. Ends with the command's status; says last on stderr how long the command took to end after what was
 * typed last, in milliseconds.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TURN_MS 10

static volatile sig_atomic_t stalls;

static void stall(int signal) {
    stalls = signal;
}

static long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Passes on at most `most` bytes; returns 0 when there are none. */
static long pass_on(int master, long most) {
    char bytes[4096];
    ssize_t count = read(master, bytes, most < (long)sizeof(bytes) ? (size_t)most : sizeof(bytes));
    if (count > 0 && write(1, bytes, count) != count)
        exit(255);
    return count > 0 ? count : 0;
}

int main(int count, char **words) {
    int master, status;
    if (count < 3)
        return 255;
    signal(SIGUSR1, stall);
    pid_t child = forkpty(&master, NULL, NULL, NULL);
    if (child == 0) {
        execvp(words[2], words + 2);
        _exit(127);
    }
    fcntl(master, F_SETFL, O_NONBLOCK);
    struct pollfd input = {.fd = 0, .events = POLLIN};
    long rate = atol(words[1]), typed_ms = now_ms();
    while (waitpid(child, &status, WNOHANG) == 0) {
        char key;
        if (poll(&input, 1, TURN_MS) > 0) {
            if (read(0, &key, 1) != 1)
                input.fd = -1;
            else if (write(master, &key, 1) == 1)
                typed_ms = now_ms();
        }
        for (long budget = stalls ? 0 : rate * TURN_MS / 1000, taken = 1; budget > 0 && taken > 0;
             budget -= taken)
            taken = pass_on(master, budget);
    }
    fprintf(stderr, "%ld\n", now_ms() - typed_ms);
    while (pass_on(master, 4096) > 0)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 254;
}

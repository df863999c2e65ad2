/*
 * Runs the program of feed.bpf.c or exec.bpf.c, which ig has loaded, in a loop: warms up, then counts.
 *
 *   feeder WARM_UP_SECONDS SECONDS
 *   prints {"sent":N,"seconds":S,"idle":SHARE,"total":N}: sent within the time, the share of it in which the
 * ring was full and the feeder waited for the reader, and all that was sent.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "feed.h"

#define NAP_US 200
#define FEWEST 60000
#define LONGEST 10

static double now_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

/* The newest, as the kernel takes a moment to forget one whose ig has ended. */
static int find_program(void) {
    int found = -1;

    for (unsigned int id = 0; bpf_prog_get_next_id(id, &id) == 0;) {
        struct bpf_prog_info info = {0};
        unsigned int size = sizeof(info);
        int fd = bpf_prog_get_fd_by_id(id);
        if (fd < 0)
            continue;
        int unwanted = fd;
        if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && strcmp(info.name, FEED_PROGRAM_NAME) == 0) {
            unwanted = found;
            found = fd;
        }
        close(unwanted);
    }
    return found;
}

/* How many events one run sent; negative when it could not run. */
static long run(int fd) {
    unsigned long long args[12] = {FEED_MAGIC};
    LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = args, .ctx_size_in = sizeof(args));

    return bpf_prog_test_run_opts(fd, &options) ? -1 : (long)options.retval;
}

/*
 * Feeds for some seconds; false when it could not. It goes on for longer while a slow reader has not taken
 * much more than the ring holds, as only on the whole is what is sent what it takes.
 */
static int feed(int fd, double seconds, long *sent, double *idle_seconds) {
    double end = now_seconds() + seconds, last = end + seconds * LONGEST;

    while (now_seconds() < end || (*sent < FEWEST && now_seconds() < last)) {
        long count = run(fd);
        if (count < 0)
            return 0;
        *sent += count;
        if (count == FEED_BURST)
            continue;
        double before = now_seconds();
        usleep(NAP_US);
        *idle_seconds += now_seconds() - before;
    }
    return 1;
}

int main(int argc, char **argv) {
    int fd = find_program();
    long warm = 0, sent = 0;
    double idle = 0;

    if (argc != 3 || fd < 0 || !feed(fd, atof(argv[1]), &warm, &idle)) {
        fprintf(stderr, "the program " FEED_PROGRAM_NAME " cannot be run\n");
        return 1;
    }
    idle = 0;
    /* The window starts: whoever measures the reader's CPU time waits for this line. */
    printf("{}\n");
    fflush(stdout);
    double start = now_seconds();
    if (!feed(fd, atof(argv[2]), &sent, &idle))
        return 1;
    double seconds = now_seconds() - start;
    printf("{\"sent\":%ld,\"seconds\":%.3f,\"idle\":%.3f,\"total\":%ld}\n", sent, seconds,
           seconds > 0 ? idle / seconds : 0, warm + sent);
    return 0;
}

/*
 * Runs the program of feed.bpf.c or exec.bpf.c, which ig has loaded, in a loop: warms up, then counts.
 *
 *   feeder WARM_UP_SECONDS SECONDS [MNTNS...]
 *   prints {"sent":N,"seconds":S,"idle":SHARE,"total":N}: sent within the time, the share of it in which the
 * ring was full and the feeder waited for the reader, and all that was sent. Execs are said to be of these
 * mount namespaces, in turns; of some that are not there, if none are given.
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

struct feeder {
    int fd;
    /* Inode numbers as text. */
    char **mntns;
    int count;
    unsigned int next;
};

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
static long run(struct feeder *feeder) {
    unsigned long long args[12] = {FEED_MAGIC};
    for (int i = 0; i < FEED_MNTNS; i++) {
        unsigned long long mntns =
            feeder->count ? strtoull(feeder->mntns[feeder->next++ % feeder->count], NULL, 10) : i + 1;
        args[1 + i / 2] |= mntns << i % 2 * FEED_MNTNS_BITS;
    }
    LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = args, .ctx_size_in = sizeof(args));

    return bpf_prog_test_run_opts(feeder->fd, &options) ? -1 : (long)options.retval;
}

/*
 * Feeds for some seconds; false when it could not. It goes on for longer while a slow reader has not taken
 * much more than the ring holds, as only on the whole is what is sent what it takes.
 */
static int feed(struct feeder *feeder, double seconds, long *sent, double *idle_seconds) {
    double end = now_seconds() + seconds, last = end + seconds * LONGEST;

    while (now_seconds() < end || (*sent < FEWEST && now_seconds() < last)) {
        long count = run(feeder);
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
    struct feeder feeder = {.fd = find_program(), .mntns = argv + 3, .count = argc - 3};
    long warm = 0, sent = 0;
    double idle = 0;

    if (argc < 3 || feeder.fd < 0 || !feed(&feeder, atof(argv[1]), &warm, &idle)) {
        fprintf(stderr, "the program " FEED_PROGRAM_NAME " cannot be run\n");
        return 1;
    }
    idle = 0;
    /* The window starts: whoever measures the reader's CPU time waits for this line. */
    printf("{}\n");
    fflush(stdout);
    double start = now_seconds();
    if (!feed(&feeder, atof(argv[2]), &sent, &idle))
        return 1;
    double seconds = now_seconds() - start;
    printf("{\"sent\":%ld,\"seconds\":%.3f,\"idle\":%.3f,\"total\":%ld}\n", sent, seconds,
           seconds > 0 ? idle / seconds : 0, warm + sent);
    return 0;
}

/*
 * calls GADGETS PROCESSES COUNT: makes system calls that the gadget of calls.bpf.c has an event for, COUNT in
 * each process as fast as it can; with 0, until standard input ends. Prints how many it made, and then, for
 * each of the newest GADGETS that run, what that counted; those may be gone by then.
 */
#define _GNU_SOURCE
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "calls.h"

#define MAX_GADGETS 256
#define MAX_PROCESSES 64

static long bpf(int command, union bpf_attr *attributes) {
    return syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

static int is_counter(int fd) {
    struct bpf_map_info info = {0};
    union bpf_attr get = {0};

    get.info.bpf_fd = fd;
    get.info.info_len = sizeof(info);
    get.info.info = (uintptr_t)&info;
    return bpf(BPF_OBJ_GET_INFO_BY_FD, &get) == 0 && strcmp(info.name, "calls_emitted") == 0;
}

/* The maps that gadgets count in, the newest last. */
static int find_counters(int *fds) {
    union bpf_attr next = {0};
    int found = 0;

    while (bpf(BPF_MAP_GET_NEXT_ID, &next) == 0) {
        union bpf_attr open = {.map_id = next.next_id};
        int fd = bpf(BPF_MAP_GET_FD_BY_ID, &open);
        if (fd >= 0 && found < MAX_GADGETS && is_counter(fd))
            fds[found++] = fd;
        else if (fd >= 0)
            close(fd);
        next.start_id = next.next_id;
    }
    return found;
}

static uint64_t read_counter(int fd) {
    uint32_t key = 0;
    uint64_t value = 0;
    union bpf_attr get = {.map_fd = fd};

    get.key = (uintptr_t)&key;
    get.value = (uintptr_t)&value;
    return bpf(BPF_MAP_LOOKUP_ELEM, &get) ? UINT64_MAX : value;
}

static void make_calls(volatile uint64_t *made, uint64_t count, volatile int *over) {
    for (uint64_t i = 0; count ? i < count : !*over; i++) {
        syscall(CALL, i);
        (*made)++;
    }
}

static void await_end_of_input(void) {
    char bytes[64];
    while (read(0, bytes, sizeof(bytes)) > 0)
        continue;
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    int gadgets = atoi(argv[1]), processes = atoi(argv[2]), fds[MAX_GADGETS];
    uint64_t count = strtoull(argv[3], NULL, 10), executed = 0;
    uint64_t *made = mmap(NULL, (MAX_PROCESSES + 1) * sizeof(*made), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    volatile int *over = (volatile int *)&made[MAX_PROCESSES];
    int found = find_counters(fds);

    if (processes < 1 || processes > MAX_PROCESSES || made == MAP_FAILED || found < gadgets)
        return 3;
    for (int i = 0; i < processes; i++) {
        if (fork() == 0) {
            make_calls(&made[i], count, over);
            _exit(0);
        }
    }
    if (count == 0) {
        await_end_of_input();
        *over = 1;
    }
    while (wait(NULL) > 0)
        continue;
    for (int i = 0; i < processes; i++)
        executed += made[i];
    printf("%llu", (unsigned long long)executed);
    for (int i = found - gadgets; i < found; i++)
        printf(" %llu", (unsigned long long)read_counter(fds[i]));
    printf("\n");
    return 0;
}

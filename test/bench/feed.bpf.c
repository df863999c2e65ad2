/*
 * A gadget whose program makes up events as fast as they are read: what the pipeline can carry, without the
 * cost of a workload.
 *
 * feeder.c runs the program by BPF_PROG_TEST_RUN. Each run fills the ring up to a limit, so that nothing is
 * lost and the reader always has work; it returns how many events it sent.
 */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <gadget/buffer.h>
#include <gadget/macros.h>
#include <gadget/types.h>
#include "feed.h"

/* Enough to hold what comes in while ig naps, so that a fast ig is limited by the feeder and not by its naps.
 */
#define RING_BYTES (64 * 1024 * 1024)
#define FULL_BYTES (RING_BYTES / 4 * 3)

/* 256 bytes, like a small exec event. */
struct event {
    gadget_timestamp timestamp_raw;
    __u64 number;
    __u32 pid;
    __u32 tid;
    __u32 uid;
    __u32 gid;
    __u64 inode;
    __u64 bytes;
    char comm[16];
    char parent_comm[16];
    char path[64];
    char args[112];
};

GADGET_TRACER_MAP(events, RING_BYTES)
GADGET_TRACER(feed, events, event)

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct event);
} scratch SEC(".maps");

/* The hook is only there to have a program that can be attached; its own events are ignored. */
SEC("raw_tp/sched_process_exec")
int FEED_PROGRAM(struct bpf_raw_tracepoint_args *ctx) {
    __u32 key = 0;
    struct event *event = bpf_map_lookup_elem(&scratch, &key);

    if (ctx->args[0] != FEED_MAGIC || !event)
        return 0;
    event->timestamp_raw = bpf_ktime_get_boot_ns();
    event->pid = event->tid = 4711;
    event->uid = event->gid = 1000;
    event->inode = 1234567;
    __builtin_memcpy(event->comm, "synthetic", 10);
    __builtin_memcpy(event->parent_comm, "feeder", 7);
    __builtin_memcpy(event->path, "/usr/local/bin/synthetic", 25);
    __builtin_memcpy(event->args, "--first\0--second=value\0an argument", 35);
    int sent = 0;
    for (int i = 0; i < FEED_BURST; i++) {
        if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > FULL_BYTES)
            break;
        event->number++;
        event->bytes = event->number * 1024;
        if (gadget_output_buf(ctx, &events, event, sizeof(*event)) == 0)
            sent++;
    }
    return sent;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

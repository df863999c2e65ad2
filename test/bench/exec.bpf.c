/*
 * trace_exec with one program more, which makes up execs as fast as they are read: what filters cost on the
 * events that users have, without the cost of executing anything. feeder.c runs it, as it does feed.bpf.c's.
 */
#include "../../gadgets/trace_exec/program.bpf.c"
#include "feed.h"

/* Of the 4 MiB that the ring of trace_exec has. */
#define FULL_BYTES (3 * 1024 * 1024)

#define FILENAME "/usr/bin/grep"
#define ARGV "grep\0-q\0--color=never\0two words\0/etc/hosts"
#define TAIL FILENAME ARGV

struct prepared {
    struct event event;
    char tail[sizeof(TAIL)];
    __u32 sent;
    __u64 mntns[FEED_MNTNS];
};
#define EVENT_BYTES __builtin_offsetof(struct prepared, sent)

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct prepared);
} prepared_map SEC(".maps");

static __always_inline void prepare(struct prepared *prepared) {
    struct event *event = &prepared->event;
    __u32 end = sizeof(*event);

    event->proc.pid = event->proc.tid = 4711;
    event->proc.creds.uid = event->proc.creds.gid = 1000;
    __builtin_memcpy(event->proc.parent.comm, "bash", 5);
    event->proc.parent.pid = event->proc.parent.tid = 4242;
    event->loginuid = NO_LOGINUID;
    event->args_count = 5;
    event->dev_major = 8;
    event->inode = 1234567;
    event->ctime = event->fctime = event->pctime = 1700000000000000000ULL;
    event->cgroup_id = 8080;
    event->filename.offset = end;
    event->filename.size = sizeof(FILENAME) - 1;
    event->argv.offset = end + sizeof(FILENAME) - 1;
    event->argv.size = event->args_size = sizeof(ARGV);
    __builtin_memcpy(prepared->tail, TAIL, sizeof(TAIL));
}

/* Sends one event, of every fourth turn one of another command; 1 ends the burst. */
static long send_one(__u32 turn, struct prepared **burst) {
    struct prepared *prepared = *burst;

    if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > FULL_BYTES)
        return 1;
    prepared->event.proc.mntns_id = prepared->mntns[turn % FEED_MNTNS];
    __builtin_memcpy(prepared->event.proc.comm, turn & 3 ? "grep\0" : "other", 6);
    if (gadget_output_buf(ctx, &events, prepared, EVENT_BYTES) == 0)
        prepared->sent++;
    return 0;
}

SEC("raw_tp/sched_process_exec")
int FEED_PROGRAM(struct bpf_raw_tracepoint_args *ctx) {
    __u32 key = 0;
    struct prepared *prepared = bpf_map_lookup_elem(&prepared_map, &key);

    if (ctx->args[0] != FEED_MAGIC || !prepared)
        return 0;
    if (!prepared->event.argv.size)
        prepare(prepared);
    prepared->event.timestamp_raw = bpf_ktime_get_boot_ns();
    prepared->sent = 0;
#pragma unroll
    for (int i = 0; i < FEED_MNTNS; i++)
        prepared->mntns[i] = (__u32)(ctx->args[1 + i / 2] >> i % 2 * FEED_MNTNS_BITS);
    bpf_loop(FEED_BURST, send_one, &prepared, 0);
    return prepared->sent;
}

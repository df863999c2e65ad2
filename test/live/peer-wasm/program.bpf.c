/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* One event for every program that is executed, for tests of Wasm modules: with a map that a module sets. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <gadget/buffer.h>
#include <gadget/common.h>
#include <gadget/filter.h>
#include <gadget/macros.h>
#include <gadget/types.h>

struct event {
    gadget_timestamp timestamp_raw;
    struct gadget_process proc;
    __u32 mark;
    char note[16];
};

/* What the module writes at 0 goes into `mark` of every event. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16);
    __type(key, __u32);
    __type(value, __u32);
} marks SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
    __type(key, __u32);
    __type(value, __u32);
} perf SEC(".maps");

GADGET_TRACER_MAP(events, 256 * 1024)
GADGET_TRACER(exec, events, event)

static __always_inline int report(void *ctx, const char *note, __u32 size) {
    struct event *event;
    __u32 zero = 0, *mark;

    if (gadget_should_discard_data_current())
        return 0;
    event = gadget_reserve_buf(&events, sizeof(*event));
    if (!event)
        return 0;
    event->timestamp_raw = bpf_ktime_get_boot_ns();
    gadget_process_populate(&event->proc);
    mark = bpf_map_lookup_elem(&marks, &zero);
    event->mark = mark ? *mark : 0;
    __builtin_memset(event->note, 0, sizeof(event->note));
    __builtin_memcpy(event->note, note, size);
    gadget_submit_buf(ctx, &events, event, sizeof(*event));
    return 0;
}

SEC("tracepoint/sched/sched_process_exec")
int ig_exec(void *ctx) {
    return report(ctx, "exec", 4);
}

/* A module can attach it elsewhere. */
SEC("tracepoint/sched/sched_process_hang")
int ig_other(void *ctx) {
    return report(ctx, "other", 5);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

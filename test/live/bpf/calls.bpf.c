/*
 * A gadget with one event for each system call that no kernel has, CALL, and which programs/calls.c makes. It
 * counts, in a map that ig knows nothing of, what it tries to send, whether or not it finds room.
 */
#include <vmlinux.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <gadget/buffer.h>
#include <gadget/common.h>
#include <gadget/filter.h>
#include <gadget/macros.h>
#include <gadget/types.h>
#include "../programs/calls.h"

#ifndef RING_BYTES
#define RING_BYTES (1024 * 1024)
#endif

struct event {
    gadget_timestamp timestamp_raw;
    struct gadget_process proc;
    __u64 number;
};

GADGET_TRACER_MAP(events, RING_BYTES)
GADGET_TRACER(calls, events, event)

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} calls_emitted SEC(".maps");

/* Arguments: struct pt_regs *, long id (include/trace/events/syscalls.h). */
SEC("raw_tp/sys_enter")
int test_calls(struct bpf_raw_tracepoint_args *ctx) {
    __u32 zero = 0;
    __u64 *emitted = bpf_map_lookup_elem(&calls_emitted, &zero);

    if (ctx->args[1] != CALL || !emitted || gadget_should_discard_data_current())
        return 0;
    __sync_fetch_and_add(emitted, 1);
    struct event *event = gadget_reserve_buf(&events, sizeof(*event));
    if (!event)
        return 0;
    __builtin_memset(event, 0, sizeof(*event));
    event->timestamp_raw = bpf_ktime_get_boot_ns();
    gadget_process_populate(&event->proc);
    event->number = PT_REGS_PARM1_CORE_SYSCALL((struct pt_regs *)ctx->args[0]);
    gadget_submit_buf(ctx, &events, event, sizeof(*event));
    return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

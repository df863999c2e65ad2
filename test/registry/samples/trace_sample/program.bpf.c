/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* trace_sample: one event for every directory that is made; small, for tests of building. */
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
    __u32 mode;
    char path[64];
};

const volatile __u32 min_mode = 0;
GADGET_PARAM(min_mode)

const volatile bool quiet = false;
GADGET_PARAM(quiet)

GADGET_TRACER_MAP(events, 256 * 1024)
GADGET_TRACER(made, events, event)

SEC("tracepoint/syscalls/sys_enter_mkdirat")
int ig_mkdirat(struct trace_event_raw_sys_enter *ctx) {
    struct event *event;

    if (quiet || ctx->args[2] < min_mode || gadget_should_discard_data_current())
        return 0;
    event = gadget_reserve_buf(&events, sizeof(*event));
    if (!event)
        return 0;
    event->timestamp_raw = bpf_ktime_get_boot_ns();
    gadget_process_populate(&event->proc);
    event->mode = ctx->args[2];
    bpf_probe_read_user_str(event->path, sizeof(event->path), (const char *)ctx->args[1]);
    gadget_submit_buf(ctx, &events, event, sizeof(*event));
    return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

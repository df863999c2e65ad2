/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* my_gadget: one event for every program that is executed. */
#include <vmlinux.h> /* types of the kernel */
#include <bpf/bpf_helpers.h>
#include <gadget/buffer.h> /* gadget_output_buf */
#include <gadget/common.h> /* gadget_process_populate */
#include <gadget/filter.h> /* --pid, --uid, --comm, and the choice of containers */
#include <gadget/macros.h> /* GADGET_TRACER */
#include <gadget/types.h>  /* types that ig knows by name */

#define PATH_BYTES 4096

/* What an event holds: every member becomes a field. */
struct event {
    gadget_timestamp timestamp_raw; /* also gives the field `timestamp`, as text */
    struct gadget_process proc;     /* proc.comm, proc.pid, …, and the container */
    gadget_tail_string filename;    /* stands behind the struct, and takes the bytes it needs */
};

GADGET_TRACER_MAP(events, 1024 * 1024)
GADGET_TRACER(exec, events, event)

struct record {
    struct event event;
    char tail[PATH_BYTES];
};

/* The stack has 512 bytes: records are built here. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct record);
} records SEC(".maps");

SEC("tracepoint/sched/sched_process_exec")
int on_exec(struct trace_event_raw_sched_process_exec *ctx) {
    __u32 zero = 0;
    struct record *record;

    if (gadget_should_discard_data_current()) /* first: it is cheap */
        return 0;
    record = bpf_map_lookup_elem(&records, &zero);
    if (!record)
        return 0;
    struct event *event = &record->event;
    event->timestamp_raw = bpf_ktime_get_boot_ns();
    gadget_process_populate(&event->proc);

    /* Where the tracepoint keeps the path: an offset in the low 16 bits. */
    const char *path = (const char *)ctx + (ctx->__data_loc_filename & 0xffff);
    long size = bpf_probe_read_kernel_str(record->tail, PATH_BYTES, path); /* counts the final NUL */
    event->filename.offset = sizeof(struct event);
    event->filename.size = size > 0 ? size - 1 : 0;
    __u64 total = sizeof(struct event) + event->filename.size;
    if (total > sizeof(struct record)) /* for the verifier */
        return 0;
    gadget_output_buf(ctx, &events, record, total);
    return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

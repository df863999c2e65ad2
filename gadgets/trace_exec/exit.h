/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* The end of processes whose exec was shown: the data source `exit`, with --exits. */
#ifndef __TRACE_EXEC_EXIT_H
#define __TRACE_EXEC_EXIT_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <gadget/buffer.h>
#include <gadget/common.h>
#include <gadget/fair.h>
#include <gadget/macros.h>
#include <gadget/types.h>
#include "params.h"
#include "record.h"

/* include/linux/sched/signal.h */
#define SIGNAL_GROUP_EXIT 0x00000004

/* What the status of a process is made of, as wait(2) has it. */
#define STATUS_SIGNAL 0x7f
#define STATUS_CORE_DUMPED 0x80
#define STATUS_CODE(status) ((status) >> 8 & 0xff)

#define NO_EXIT_CODE ((__u32)-1)

/* Of the path given to exec, with the final NUL; a longer one is left out. */
#define EXIT_FILENAME_MAX 256

struct exit {
    gadget_timestamp timestamp_raw;
    struct gadget_process proc;
    __u32 exit_code;
    gadget_signal signal_raw;
    bool core_dumped;
    __u8 __padding[7];
    gadget_duration duration_raw;
    __u64 cgroup_id;
    gadget_tail_string filename;
};

GADGET_TRACER_MAP(exit_events, 1024 * 1024)
GADGET_TRACER(exit, exit_events, exit)

struct exit_record {
    struct exit event;
    char filename[EXIT_FILENAME_MAX];
};

/* What an exec leaves for the end of its process. */
struct life {
    /* When the process started, in nanoseconds since boot: another of the same id started later. */
    __u64 start_ns;
    __u64 exec_ns;
    gadget_mntns_id mntns_id;
    __u32 filename_size;
    __u8 __padding[4];
    char filename[EXIT_FILENAME_MAX];
};

/* By process id: those whose exec was shown and who have not ended. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __type(key, __u32);
    __type(value, struct life);
} traced_processes SEC(".maps");

/* Execs that found it full, so that the exit is not going to be shown. */
GADGET_LOSS_COUNTER(traced_processes)

/* Where they are built. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct life);
} new_life SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct exit_record);
} exit_records SEC(".maps");

/* An exec that succeeded: the process's life begins anew. */
static __always_inline void begin_life(const struct event *event, struct task_struct *task,
                                       struct linux_binprm *bprm) {
    __u32 zero = 0, pid = event->proc.pid;
    struct life *life = bpf_map_lookup_elem(&new_life, &zero);
    if (!life)
        return;

    life->start_ns = BPF_CORE_READ(task, start_boottime);
    life->exec_ns = event->timestamp_raw;
    life->mntns_id = event->proc.mntns_id;
    long size = bpf_probe_read_kernel_str(life->filename, EXIT_FILENAME_MAX, BPF_CORE_READ(bprm, filename));
    /* One that just fits counts as too long. */
    life->filename_size = size > 0 && size < EXIT_FILENAME_MAX ? size - 1 : 0;
    if (bpf_map_update_elem(&traced_processes, &pid, life, BPF_ANY))
        gadget_count_lost(traced_processes);
}

/* What wait() is going to say of it, by the rule of wait_task_zombie() in kernel/exit.c. */
static __always_inline void describe_status(struct exit *event, struct signal_struct *signal,
                                            struct task_struct *leader) {
    __u32 status = BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT ? BPF_CORE_READ(signal, group_exit_code)
                                                                    : BPF_CORE_READ(leader, exit_code);

    event->signal_raw = status & STATUS_SIGNAL;
    event->core_dumped = status & STATUS_CORE_DUMPED;
    event->exit_code = event->signal_raw ? NO_EXIT_CODE : STATUS_CODE(status);
}

/* The process as its exec was shown: in that mount namespace, by its main thread's name, even if that one
 * ended long ago. */
static __always_inline void describe_process(struct gadget_process *process, const struct life *life,
                                             struct task_struct *leader) {
    gadget_process_populate(process);
    bpf_core_read(process->comm, sizeof(process->comm), &leader->comm);
    process->tid = process->pid;
    process->mntns_id = life->mntns_id;
}

/* Returns the record's size. */
static __always_inline __u64 describe_exit(struct exit_record *record, const struct life *life,
                                           struct signal_struct *signal, struct task_struct *leader) {
    struct exit *event = &record->event;

    __builtin_memset(event, 0, sizeof(*event));
    event->timestamp_raw = bpf_ktime_get_boot_ns();
    event->duration_raw = event->timestamp_raw - life->exec_ns;
    event->cgroup_id = bpf_get_current_cgroup_id();
    describe_process(&event->proc, life, leader);
    describe_status(event, signal, leader);

    __u64 size = life->filename_size;
    barrier_var(size);
    if (size == 0 || size > EXIT_FILENAME_MAX)
        return sizeof(*event);
    bpf_probe_read_kernel(record->filename, size, life->filename);
    event->filename.offset = sizeof(*event);
    event->filename.size = size;
    return sizeof(*event) + size;
}

/* Current is the thread that ends, whatever the tracepoint's arguments are on this kernel. */
SEC("raw_tp/sched_process_exit")
int ig_sched_exit(void *ctx) {
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct signal_struct *signal = BPF_CORE_READ(task, signal);
    __u32 zero = 0, pid = bpf_get_current_pid_tgid() >> 32;

    /* This thread has been subtracted. */
    if (BPF_CORE_READ(signal, live.counter) > 0)
        return 0;
    struct life *life = bpf_map_lookup_elem(&traced_processes, &pid);
    struct exit_record *record = bpf_map_lookup_elem(&exit_records, &zero);
    if (!life || !record)
        return 0;

    struct task_struct *leader = BPF_CORE_READ(task, group_leader);
    bool is_same = life->start_ns == BPF_CORE_READ(leader, start_boottime);
    __u64 size = describe_exit(record, life, signal, leader);
    /* Of threads that end at the same time, several may find that none is left: one gets the entry. */
    if (bpf_map_delete_elem(&traced_processes, &pid) || !is_same)
        return 0;
    if (gadget_fair_should_discard(&exit_events, size))
        return 0;
    /* Checked last: old verifiers forget what they knew of numbers kept on the stack. */
    barrier_var(size);
    if (size > sizeof(*record))
        return 0;
    gadget_output_buf(ctx, &exit_events, record, size);
    return 0;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* Where what is executed comes from: still in a directory, in memory only, there before the container. */
#ifndef __TRACE_EXEC_ORIGIN_H
#define __TRACE_EXEC_ORIGIN_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <gadget/clock.h>
#include <gadget/filesystem.h>
#include "identity.h"
#include "record.h"
#include "wanted.h"

/*
 * When the process's container started, in nanoseconds since the epoch: the first process of its pid
 * namespace. 0 if that is the initial namespace, or has lost that process.
 */
static __always_inline __u64 container_start(const struct event *event, struct task_struct *task) {
    if (event->pidns_id == INITIAL_PIDNS)
        return 0;
    struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
    struct upid *upid = innermost(pid, BPF_CORE_READ(pid, level));
    struct task_struct *first = BPF_CORE_READ(upid, ns, child_reaper);
    return first ? gadget_epoch_ns(BPF_CORE_READ(first, start_boottime)) : 0;
}

/* Of the file given, after describe_file(), and of the program, after describe_exes(); either may be NULL. */
static __always_inline void describe_origin(struct event *event, struct file *file, struct file *exe,
                                            struct task_struct *task) {
    if (!gadget_wanted(file))
        file = NULL;
    if (!gadget_wanted(program))
        exe = NULL;
    if (!file && !exe)
        return;
    const __u64 start = container_start(event, task);

    if (file) {
        event->file_deleted = gadget_file_is_deleted(file);
        event->file_in_memory = event->file_deleted && gadget_file_system_is_memory(file);
    }
    if (exe) {
        event->deleted = exe == file ? event->file_deleted : gadget_file_is_deleted(exe);
        event->in_memory = event->deleted && gadget_file_system_is_memory(exe);
    }
    if (start != 0 && file)
        event->file_newer_than_container = event->fctime > start;
    if (start != 0 && exe)
        event->newer_than_container = event->ctime > start;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* Who executes: numbers in its own namespaces, the rights it has and had, when it started, who its ancestors
 * are. */
#ifndef __TRACE_EXEC_IDENTITY_H
#define __TRACE_EXEC_IDENTITY_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "params.h"
#include "record.h"
#include "wanted.h"

/* Of --ancestors. */
#define ANCESTORS_MAX 16

/* Inode number of the initial pid namespace: PROC_PID_INIT_INO, include/linux/proc_ns.h. */
#define INITIAL_PIDNS 0xeffffffc

/* A process's number in the pid namespace that it lives in, `level` below the initial one. */
static __always_inline struct upid *innermost(struct pid *pid, __u32 level) {
    return (void *)pid + bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);
}

static __always_inline void describe_pid_namespace(struct event *event, struct task_struct *leader) {
    struct pid *pid = BPF_CORE_READ(leader, thread_pid);
    __u32 level = BPF_CORE_READ(pid, level);

    event->ns_pid = event->proc.pid;
    event->pidns_id = INITIAL_PIDNS;
    if (level > 0) {
        struct upid *upid = innermost(pid, level);
        event->ns_pid = BPF_CORE_READ(upid, nr);
        event->pidns_id = BPF_CORE_READ(upid, ns, ns.inum);
    }
}

static __always_inline void describe_identity(struct event *event, struct task_struct *task) {
    struct task_struct *leader = BPF_CORE_READ(task, group_leader);

    event->start_time_raw = BPF_CORE_READ(leader, start_boottime);
    if (wants_pid_namespace())
        describe_pid_namespace(event, leader);
    if (!gadget_wanted(namespaces) && !gadget_wanted(rights))
        return;
    const struct cred *cred = BPF_CORE_READ(task, cred);
    if (gadget_wanted(namespaces))
        event->userns_id = BPF_CORE_READ(cred, user_ns, ns.inum);
    if (gadget_wanted(rights)) {
        event->euid = BPF_CORE_READ(cred, euid.val);
        event->egid = BPF_CORE_READ(cred, egid.val);
    }
}

/* The rights before the exec, those with which the program was opened; and whether it got more. */
static __always_inline void describe_rights_before(struct event *event, struct file *exe,
                                                   struct linux_binprm *bprm) {
    const struct cred *cred = BPF_CORE_READ(exe, f_cred);

    event->euid_before = BPF_CORE_READ(cred, euid.val);
    event->egid_before = BPF_CORE_READ(cred, egid.val);
    event->secureexec = BPF_CORE_READ_BITFIELD_PROBED(bprm, secureexec);
}

/*
 * The names of parents, from the nearest on. Where they end is kept in the record, as in read_args_by_page().
 * Comes to nothing without --ancestors.
 */
static __always_inline __u64 append_ancestors(union record *record, __u64 end, struct task_struct *task) {
    gadget_tail_strings *place = &record->event.ancestors;
    volatile __u32 *size = &place->size;

    if (ancestors == 0 || !gadget_wanted(ancestors))
        return end;
    place->offset = forget(record, end);
    for (int i = 0; i < ANCESTORS_MAX && i < ancestors; i++) {
        task = BPF_CORE_READ(task, real_parent);
        if (BPF_CORE_READ(task, pid) == 0)
            break;
        end = place->offset + *size;
        if (end > TEXTS_MAX - TASK_COMM_LEN)
            break;
        long length = bpf_probe_read_kernel_str(&record->bytes[end], TASK_COMM_LEN, &task->comm);
        if (length <= 0)
            break;
        *size += length;
    }
    return forget(record, place->offset + *size);
}

#endif

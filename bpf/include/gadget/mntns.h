/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* The mount namespace of the current task, by which events are assigned to containers. */
#ifndef __GADGET_MNTNS_H
#define __GADGET_MNTNS_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <gadget/types.h>

static __always_inline gadget_mntns_id gadget_get_mntns_id(void) {
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    return BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
}

#endif

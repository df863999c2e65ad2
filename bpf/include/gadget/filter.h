/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * Filters in the kernel: container, pid, tid, uid, gid and comm. Including this gives the gadget the
 * parameters; the gadget asks before it does anything expensive.
 */
#ifndef __GADGET_FILTER_H
#define __GADGET_FILTER_H

#include <bpf/bpf_helpers.h>
#include <gadget/macros.h>
#include <gadget/types.h>
#include <gadget/mntns_filter.h>

/* The uid and gid that no process has. */
#define GADGET_INVALID_ID ((__u32)-1)

const volatile gadget_pid targ_pid = 0;
GADGET_PARAM(targ_pid)

const volatile gadget_tid targ_tid = 0;
GADGET_PARAM(targ_tid)

const volatile gadget_uid targ_uid = GADGET_INVALID_ID;
GADGET_PARAM(targ_uid)

const volatile gadget_gid targ_gid = GADGET_INVALID_ID;
GADGET_PARAM(targ_gid)

const volatile gadget_comm targ_comm[TASK_COMM_LEN] = {};
GADGET_PARAM(targ_comm)

static __always_inline bool gadget_should_discard_pid(gadget_pid pid) {
    return targ_pid != 0 && targ_pid != pid;
}

static __always_inline bool gadget_should_discard_tid(gadget_tid tid) {
    return targ_tid != 0 && targ_tid != tid;
}

static __always_inline bool gadget_should_discard_uid(gadget_uid uid) {
    return targ_uid != GADGET_INVALID_ID && targ_uid != uid;
}

static __always_inline bool gadget_should_discard_gid(gadget_gid gid) {
    return targ_gid != GADGET_INVALID_ID && targ_gid != gid;
}

/* Only what stands before the first NUL counts; the kernel cuts names at 15 characters. */
static __always_inline bool gadget_should_discard_comm(const gadget_comm *comm) {
    if (targ_comm[0] == '\0')
        return false;
    for (int i = 0; i < TASK_COMM_LEN - 1; i++) {
        if (comm[i] != targ_comm[i])
            return true;
        if (comm[i] == '\0')
            return false;
    }
    return false;
}

/* Whether an event of the process described is filtered out. */
static __always_inline bool gadget_should_discard_data(gadget_mntns_id mntns_id, gadget_pid pid,
                                                       gadget_tid tid, const gadget_comm *comm,
                                                       gadget_uid uid, gadget_gid gid) {
    return gadget_should_discard_mntns_id(mntns_id) || gadget_should_discard_pid(pid) ||
           gadget_should_discard_tid(tid) || gadget_should_discard_uid(uid) ||
           gadget_should_discard_gid(gid) || gadget_should_discard_comm(comm);
}

/* The same for the current task; reads nothing for filters that are off. */
static __always_inline bool gadget_should_discard_data_current(void) {
    if (gadget_filter_by_mntns && gadget_should_discard_mntns_id(gadget_get_mntns_id()))
        return true;
    if (targ_pid != 0 || targ_tid != 0) {
        __u64 pid_tgid = bpf_get_current_pid_tgid();
        if (gadget_should_discard_pid(pid_tgid >> 32) || gadget_should_discard_tid((__u32)pid_tgid))
            return true;
    }
    if (targ_uid != GADGET_INVALID_ID || targ_gid != GADGET_INVALID_ID) {
        __u64 gid_uid = bpf_get_current_uid_gid();
        if (gadget_should_discard_uid((__u32)gid_uid) || gadget_should_discard_gid(gid_uid >> 32))
            return true;
    }
    if (targ_comm[0] != '\0') {
        gadget_comm comm[TASK_COMM_LEN];
        bpf_get_current_comm(comm, sizeof(comm));
        return gadget_should_discard_comm(comm);
    }
    return false;
}

#endif

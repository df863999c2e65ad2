/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* What a record says in a fixed number of bytes. */
#ifndef __TRACE_EXEC_DESCRIBE_H
#define __TRACE_EXEC_DESCRIBE_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <gadget/common.h>
#include <gadget/filesystem.h>
#include "record.h"
#include "wanted.h"

#define UNDEFINED 255
#define NO_LOGINUID ((__u32)-1)
/* The uid and gid that nobody has. */
#define UNKNOWN_ID ((__u32)-1)

static __always_inline void set_undefined(bool *flag) {
    *(__u8 *)flag = UNDEFINED;
}

static __always_inline void describe_login(struct event *event, struct task_struct *task) {
    event->loginuid = NO_LOGINUID;
    if (bpf_core_field_exists(task->loginuid))
        event->loginuid = BPF_CORE_READ(task, loginuid.val);
    if (bpf_core_field_exists(task->sessionid))
        event->sessionid = BPF_CORE_READ(task, sessionid);
}

static __always_inline void describe_terminal(struct event *event, struct task_struct *task) {
    struct tty_struct *tty = BPF_CORE_READ(task, signal, tty);
    if (!tty)
        return;
    struct tty_driver *driver = BPF_CORE_READ(tty, driver);
    event->tty = BPF_CORE_READ(tty, index);
    event->tty_major = BPF_CORE_READ(driver, major);
    event->tty_minor = BPF_CORE_READ(driver, minor_start) + event->tty;
}

/* A record with what success and failure have in common; its tail is empty. */
static __always_inline union record *new_record(__u32 which, struct task_struct *task) {
    union record *record = find_record(which);
    if (!record)
        return NULL;
    struct event *event = &record->event;

    __builtin_memset(event, 0, sizeof(*event));
    event->timestamp_raw = bpf_ktime_get_boot_ns();
    event->cgroup_id = bpf_get_current_cgroup_id();
    gadget_process_populate(&event->proc);

    if (gadget_wanted(login))
        describe_login(event, task);
    if (gadget_wanted(terminal))
        describe_terminal(event, task);

    event->euid_before = event->egid_before = UNKNOWN_ID;
    set_undefined(&event->secureexec);
    set_undefined(&event->deleted);
    set_undefined(&event->file_deleted);
    set_undefined(&event->in_memory);
    set_undefined(&event->file_in_memory);
    set_undefined(&event->newer_than_container);
    set_undefined(&event->file_newer_than_container);
    set_undefined(&event->from_rootfs);
    set_undefined(&event->file_from_rootfs);
    set_undefined(&event->upper_layer);
    set_undefined(&event->fupper_layer);
    set_undefined(&event->pupper_layer);
    set_undefined(&event->env_truncated);
    return record;
}

/* The file that was to be executed. */
static __always_inline void describe_file(struct event *event, struct file *file, struct task_struct *task) {
    if (!gadget_wanted(file))
        return;
    struct inode *inode = BPF_CORE_READ(file, f_inode);
    dev_t device = BPF_CORE_READ(inode, i_sb, s_dev);

    event->dev_major = device >> 20;
    event->dev_minor = device & ((1 << 20) - 1);
    event->inode = BPF_CORE_READ(inode, i_ino);
    event->fctime = gadget_inode_ctime(inode);
    event->fupper_layer = gadget_inode_in_upper_layer(inode);
    event->file_from_rootfs = gadget_file_on_rootfs(file, task);
}

/* The program now running, and the parent's. */
static __always_inline void describe_exes(struct event *event, struct file *exe, struct file *parent_exe,
                                          struct task_struct *task) {
    if (exe && gadget_wanted(program)) {
        struct inode *inode = BPF_CORE_READ(exe, f_inode);
        event->ctime = gadget_inode_ctime(inode);
        event->upper_layer = gadget_inode_in_upper_layer(inode);
        event->from_rootfs = gadget_file_on_rootfs(exe, task);
    }
    if (parent_exe && gadget_wanted(parent_program)) {
        struct inode *inode = BPF_CORE_READ(parent_exe, f_inode);
        event->pctime = gadget_inode_ctime(inode);
        event->pupper_layer = gadget_inode_in_upper_layer(inode);
    }
}

#endif

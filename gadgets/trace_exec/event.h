/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* An exec, as it is sent: gadget.yaml says what each field is. */
#ifndef __TRACE_EXEC_EVENT_H
#define __TRACE_EXEC_EVENT_H

#include <gadget/types.h>

/* A flag may also be 255: not known. */
struct event {
    gadget_timestamp timestamp_raw;
    struct gadget_process proc;
    gadget_uid loginuid;
    __u32 sessionid;
    gadget_errno error_raw;
    __u32 args_count;
    __s32 tty;
    __u32 tty_major;
    __u32 tty_minor;
    bool from_rootfs;
    bool file_from_rootfs;
    bool upper_layer;
    bool fupper_layer;
    bool pupper_layer;
    bool args_truncated;
    bool env_truncated;
    bool secureexec;
    bool deleted;
    bool file_deleted;
    bool in_memory;
    bool file_in_memory;
    bool newer_than_container;
    bool file_newer_than_container;
    __u8 __padding[2];
    __u32 args_size;
    __u32 dev_major;
    __u32 dev_minor;
    __u64 inode;
    __u64 ctime;
    __u64 fctime;
    __u64 pctime;
    __u64 cgroup_id;
    gadget_timestamp start_time_raw;
    __u32 ns_pid;
    __u32 pidns_id;
    __u32 userns_id;
    __u32 euid;
    __u32 egid;
    __u32 euid_before;
    __u32 egid_before;
    __u8 __more_padding[4];
    gadget_tail_strings argv;
    gadget_tail_strings env;
    gadget_tail_string filename;
    gadget_tail_string cwd;
    gadget_tail_string file;
    gadget_tail_string exepath;
    gadget_tail_string parent_exepath;
    gadget_tail_strings ancestors;
};

#endif

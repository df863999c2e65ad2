/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * Types that the runtime knows by name: a member of one of these types is decoded, shown or enriched
 * accordingly.
 */
#ifndef __GADGET_TYPES_H
#define __GADGET_TYPES_H

#ifndef TASK_COMM_LEN
#define TASK_COMM_LEN 16
#endif

/* Inode number of the namespace; names the container of the event. */
typedef __u64 gadget_mntns_id;
typedef __u32 gadget_netns_id;

/* Nanoseconds since boot, bpf_ktime_get_boot_ns(). */
typedef __u64 gadget_timestamp;

/* Numbers that are shown as names or in units: call the member `x_raw`, and field `x` appears beside it. */
typedef __u64 gadget_syscall;
typedef __u32 gadget_signal;
typedef __u32 gadget_errno; /* positive; 0 = no error */
typedef __u64 gadget_bytes;
typedef __u64 gadget_duration; /* nanoseconds */
typedef __u32 gadget_file_mode;
typedef __u32 gadget_file_flags;
typedef __u32 gadget_kernel_stack; /* key of the map ig_kstack */

typedef __u32 gadget_uid;
typedef __u32 gadget_gid;

/* Arrays of TASK_COMM_LEN. */
typedef char gadget_comm;
typedef char gadget_pcomm;

/* User space's words: pid is the thread group, tid the thread. */
typedef __u32 gadget_pid;
typedef __u32 gadget_ppid;
typedef __u32 gadget_tid;
typedef __u32 gadget_ptid;

/* Metrics of a map iterator's records. */
typedef __u32 gadget_counter__u32;
typedef __u64 gadget_counter__u64;
typedef __u32 gadget_gauge__u32;
typedef __u64 gadget_gauge__u64;
typedef __u32 gadget_histogram_slot__u32;
typedef __u64 gadget_histogram_slot__u64;

/*
 * Values of any length, stored behind the record's struct: what stands in the struct says where. The offset
 * counts from the start of the record; offset + size never exceeds it. A record takes only the bytes it
 * needs.
 */

/* Text, without a final NUL. */
typedef struct {
    __u32 offset;
    __u32 size;
} gadget_tail_string;

/* A list of strings, each ending in a NUL that counts in `size`. */
typedef struct {
    __u32 offset;
    __u32 size;
} gadget_tail_strings;

/* Bytes. */
typedef struct {
    __u32 offset;
    __u32 size;
} gadget_tail_bytes;

union gadget_ip_addr_t {
    __u8 v6[16];
    __u32 v4; /* network byte order */
};

struct gadget_l3endpoint_t {
    union gadget_ip_addr_t addr_raw;
    __u8 version; /* 4 or 6 */
};

struct gadget_l4endpoint_t {
    union gadget_ip_addr_t addr_raw;
    __u16 port; /* host byte order */
    __u16 proto_raw;
    __u8 version; /* 4 or 6 */
};

struct gadget_creds {
    gadget_uid uid;
    gadget_gid gid;
};

struct gadget_parent {
    gadget_pcomm comm[TASK_COMM_LEN];
    gadget_ppid pid;
    gadget_ptid tid;
};

/* 64 bytes; fill it with gadget_process_populate() of common.h. */
struct gadget_process {
    gadget_comm comm[TASK_COMM_LEN];
    gadget_pid pid;
    gadget_tid tid;
    gadget_mntns_id mntns_id;
    struct gadget_creds creds;
    struct gadget_parent parent;
};

struct gadget_user_stack {
    __u32 major;
    __u32 minor;
    __u64 inode;
    __u64 mtime_sec;
    __u32 mtime_nsec;
    __u32 base_addr_hash;
    __u32 stack_id;
    __u32 tgid_level0;
    __u32 pid_level0;
    __u32 pidns_level0;
    __u32 pid_level1;
    __u32 pidns_level1;
    __u64 otel_correlation_id;
    __u64 boot_timestamp;
};

#endif

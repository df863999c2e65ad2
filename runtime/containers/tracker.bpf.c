// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Reports each mount namespace when a process first execs in it, and meanwhile lets the namespace's events
// through.
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define NAME_SIZE 128
#define ID_LENGTH 64
#define MAX_ANCESTORS 8
#define MAX_HIERARCHIES 16

// The few members that are read, so that this file needs no particular kernel's header. CO-RE ignores `___…`.
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct kernfs_node___t {
    const char *name;
};
struct cgroup___t;
struct cgroup_subsys_state___t {
    struct cgroup___t *cgroup;
    struct cgroup_subsys_state___t *parent;
};
struct cgroup___t {
    struct cgroup_subsys_state___t self;
    int level;
    struct kernfs_node___t *kn;
};
struct css_set___t {
    struct cgroup_subsys_state___t *subsys[MAX_HIERARCHIES];
    struct cgroup___t *dfl_cgrp;
};
struct ns_common___t {
    unsigned int inum;
};
struct mnt_namespace___t {
    struct ns_common___t ns;
};
struct pid_namespace___t {
    struct ns_common___t ns;
};
struct nsproxy___t {
    struct mnt_namespace___t *mnt_ns;
    struct pid_namespace___t *pid_ns_for_children;
};
struct task_struct___t {
    struct nsproxy___t *nsproxy;
    struct css_set___t *cgroups;
    struct task_struct___t *real_parent;
    int tgid;
};
// Linux 6.18 and later.
struct ns_common___id {
    __u64 ns_id;
};
struct mnt_namespace___id {
    struct ns_common___id ns;
};
// Up to Linux 6.17.
struct mnt_namespace___seq {
    __u64 seq;
};
#pragma clang attribute pop

// Mirrored in tracker.ts.
struct settings {
    __u64 host_mntns;
    __u32 host_pidns;
    __u32 admit_unknown;
};
const volatile struct settings settings = {};

// Mirrored in tracker.ts.
struct sighting {
    __u64 mntns;
    __u64 cgroup_id;
    __u64 boot_ns;
    __u32 pid;
    __u32 parent_pid;
    __u32 own_pidns;
    // Whether it is in the same cgroup as its parent.
    __u32 shares_cgroup;
    // The process's own cgroup, and the one above.
    char cgroup[NAME_SIZE];
    char parent_cgroup[NAME_SIZE];
    // The nearest cgroup above it whose name is long enough for a container id.
    char ancestor[NAME_SIZE];
};

// Namespaces reported, by inode number. The value tells two of the same number apart.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 16384);
    __type(key, __u64);
    __type(value, __u64);
} known SEC(".maps");

// What the gadgets filter by; shared with them.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1);
    __type(key, __u64);
    __type(value, __u32);
} gadget_mntns_filter_map SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1024 * 1024);
} sightings SEC(".maps");

// Execs in a new namespace that the ring had no room to report, or the filter none to let through.
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} missed SEC(".maps");

// Inode numbers are used again as soon as a namespace is gone, this one is not.
static __always_inline __u64 identity_of(struct mnt_namespace___t *ns) {
    struct mnt_namespace___id *with_id = (void *)ns;
    struct mnt_namespace___seq *with_seq = (void *)ns;
    if (bpf_core_field_exists(with_id->ns.ns_id))
        return BPF_CORE_READ(with_id, ns.ns_id);
    if (bpf_core_field_exists(with_seq->seq))
        return BPF_CORE_READ(with_seq, seq);
    return (__u64)ns;
}

// Engines put a container into its own cgroup of every hierarchy they use: any that is not a root tells.
static __always_inline struct cgroup___t *cgroup_of(struct task_struct___t *task) {
    struct css_set___t *set = BPF_CORE_READ(task, cgroups);
    struct cgroup___t *root = BPF_CORE_READ(set, dfl_cgrp);
    if (BPF_CORE_READ(root, level) > 0)
        return root;
    void *hierarchies = __builtin_preserve_access_index(&set->subsys);
    int count = bpf_core_field_size(set->subsys) / sizeof(void *);
    for (int i = 0; i < MAX_HIERARCHIES && i < count; i++) {
        struct cgroup_subsys_state___t *state = NULL;
        bpf_probe_read_kernel(&state, sizeof(state), hierarchies + i * sizeof(void *));
        struct cgroup___t *cgroup = BPF_CORE_READ(state, cgroup);
        if (BPF_CORE_READ(cgroup, level) > 0)
            return cgroup;
    }
    return root;
}

static __always_inline long read_name(char *into, struct cgroup___t *cgroup) {
    into[0] = 0;
    return bpf_probe_read_kernel_str(into, NAME_SIZE, BPF_CORE_READ(cgroup, kn, name));
}

static __always_inline void read_cgroups(struct sighting *seen, struct task_struct___t *task) {
    struct cgroup___t *cgroup = cgroup_of(task);
    seen->shares_cgroup = cgroup_of(BPF_CORE_READ(task, real_parent)) == cgroup;
    read_name(seen->cgroup, cgroup);
    read_name(seen->parent_cgroup, BPF_CORE_READ(cgroup, self.parent, cgroup));
    for (int i = 0; i < MAX_ANCESTORS; i++) {
        cgroup = BPF_CORE_READ(cgroup, self.parent, cgroup);
        // The length counts the closing NUL.
        if (!cgroup || read_name(seen->ancestor, cgroup) > ID_LENGTH)
            return;
    }
    seen->ancestor[0] = 0;
}

static __always_inline void count_missed(void) {
    __u32 first = 0;
    __u64 *count = bpf_map_lookup_elem(&missed, &first);
    if (count)
        ++*count;
}

static __always_inline int see(void) {
    struct task_struct___t *task = (void *)bpf_get_current_task();
    struct mnt_namespace___t *ns = BPF_CORE_READ(task, nsproxy, mnt_ns);
    __u64 mntns = BPF_CORE_READ(ns, ns.inum);
    if (!mntns || mntns == settings.host_mntns)
        return 0;
    __u64 identity = identity_of(ns);
    __u64 *before = bpf_map_lookup_elem(&known, &mntns);
    if (before && *before == identity)
        return 0;

    // Even if it cannot be reported: the reader of its events asks whose it is.
    __u32 one = 1;
    bool is_shut_out =
        settings.admit_unknown && bpf_map_update_elem(&gadget_mntns_filter_map, &mntns, &one, BPF_ANY);
    struct sighting *seen = bpf_ringbuf_reserve(&sightings, sizeof(*seen), 0);
    if (!seen || is_shut_out)
        count_missed();
    if (!seen)
        return 0; // Not marked as known: the next exec in this namespace tries again.
    bpf_map_update_elem(&known, &mntns, &identity, BPF_ANY);
    seen->mntns = mntns;
    seen->cgroup_id = bpf_get_current_cgroup_id();
    seen->boot_ns = bpf_ktime_get_boot_ns();
    seen->pid = bpf_get_current_pid_tgid() >> 32;
    seen->parent_pid = BPF_CORE_READ(task, real_parent, tgid);
    seen->own_pidns = BPF_CORE_READ(task, nsproxy, pid_ns_for_children, ns.inum) != settings.host_pidns;
    read_cgroups(seen, task);
    // User space looks often enough by itself.
    bpf_ringbuf_submit(seen, BPF_RB_NO_WAKEUP);
    return 0;
}

SEC("raw_tracepoint/sched_process_exec")
int exec_done(void *ctx) {
    return see();
}

// For gadgets that look at the mount namespace when the system call begins.
SEC("tracepoint/syscalls/sys_enter_execve")
int execve_begins(void *ctx) {
    return see();
}

SEC("tracepoint/syscalls/sys_enter_execveat")
int execveat_begins(void *ctx) {
    return see();
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * A fair share of a ring buffer: a workload that makes events as fast as it can must not push out those of
 * others. Including this gives the gadget the parameters --fair and --fair-rate; it asks before it sends:
 *
 *     if (gadget_fair_should_discard(&events, size))
 *         return 0;
 *
 * As long as the ring is at most half full, everything is sent. Beyond that, each cgroup may send
 * --fair-rate events a second, each KiB of an event counting as one, and as much as that at once. What is
 * more than that is held back, and counted for the cgroup.
 */
#ifndef __GADGET_FAIR_H
#define __GADGET_FAIR_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <gadget/macros.h>
#include <gadget/mntns.h>

const volatile bool gadget_fair = false;
GADGET_PARAM(gadget_fair)

const volatile __u32 gadget_fair_rate = 100;
GADGET_PARAM(gadget_fair_rate)

#define GADGET_FAIR_SECOND_NS 1000000000ULL
#define GADGET_FAIR_UNIT_BYTES 1024

/*
 * A token bucket: the time up to which the cgroup's share is used up. It lies a second in the past when the
 * bucket is full, and in the future when the last event was larger than what was left.
 */
struct gadget_fair_bucket {
    __u64 used_until_ns;
};

/*
 * By gadget_fair_group(). The least recently used goes when there is no room; should its cgroup come back, it
 * finds a full bucket. So a flood of new cgroups makes the limit less strict, and shuts nobody out.
 */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, __u64);
    __type(value, struct gadget_fair_bucket);
} gadget_fair_buckets SEC(".maps");

/* Events held back of each group; the runtime finds it by its name, and reports it. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __type(key, __u64);
    __type(value, __u64);
} gadget_fair_held SEC(".maps");

/* Events held back of groups that found no room there. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} gadget_fair_held_others SEC(".maps");

/* The root of the cgroup tree (of version 2), where all processes are if nobody uses that tree. */
#define GADGET_FAIR_ROOT_CGROUP 1
/* Marks a mount namespace's number among those of cgroups. */
#define GADGET_FAIR_MNTNS (1ULL << 63)

/* Who shares: the cgroup of the current task; in the root cgroup, its mount namespace. */
static __always_inline __u64 gadget_fair_group(void) {
    __u64 cgroup = bpf_get_current_cgroup_id();

    return cgroup > GADGET_FAIR_ROOT_CGROUP ? cgroup : GADGET_FAIR_MNTNS | gadget_get_mntns_id();
}

/*
 * Takes `cost` from the group's bucket; false if that is empty.
 *
 * CPUs do not wait for each other, as tracing programs must not take locks. Several that find the last bit of
 * a share at the same time all take it, and the group pays for it later, as what is taken is added up
 * atomically. Only where a full bucket overflows, some of what others take in that moment is forgotten: at
 * most one event a second for each CPU but one.
 */
static __always_inline bool gadget_fair_take(__u64 group, __u64 cost_ns) {
    __u64 now = bpf_ktime_get_ns();
    __u64 full = now - GADGET_FAIR_SECOND_NS;
    struct gadget_fair_bucket *bucket = bpf_map_lookup_elem(&gadget_fair_buckets, &group);

    if (!bucket) {
        struct gadget_fair_bucket first = {.used_until_ns = full + cost_ns};
        bpf_map_update_elem(&gadget_fair_buckets, &group, &first, BPF_NOEXIST);
        return true;
    }
    __u64 used_until = *(volatile __u64 *)&bucket->used_until_ns;
    if ((__s64)(used_until - full) < 0)
        *(volatile __u64 *)&bucket->used_until_ns = full;
    else if ((__s64)(used_until - now) >= 0)
        return false;
    __sync_fetch_and_add(&bucket->used_until_ns, cost_ns);
    return true;
}

static __always_inline void gadget_fair_count(__u64 group) {
    __u64 *held = bpf_map_lookup_elem(&gadget_fair_held, &group);
    const __u64 none = 0;
    __u32 zero = 0;

    if (!held) {
        bpf_map_update_elem(&gadget_fair_held, &group, &none, BPF_NOEXIST);
        held = bpf_map_lookup_elem(&gadget_fair_held, &group);
    }
    if (!held)
        held = bpf_map_lookup_elem(&gadget_fair_held_others, &zero);
    if (held)
        __sync_fetch_and_add(held, 1);
}

/* Whether an event of the current task, `size` bytes for `ring`, is held back; then it is counted. */
static __always_inline bool gadget_fair_should_discard(void *ring, __u64 size) {
    if (!gadget_fair)
        return false;
    if (bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) <= bpf_ringbuf_query(ring, BPF_RB_RING_SIZE) / 2)
        return false;

    __u64 group = gadget_fair_group();
    __u64 units = (size + GADGET_FAIR_UNIT_BYTES - 1) / GADGET_FAIR_UNIT_BYTES;
    if (gadget_fair_rate != 0 && gadget_fair_take(group, units * (GADGET_FAIR_SECOND_NS / gadget_fair_rate)))
        return false;
    gadget_fair_count(group);
    return true;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* The container filter: the runtime keeps the mount namespaces of the containers to trace in a map. */
#ifndef __GADGET_MNTNS_FILTER_H
#define __GADGET_MNTNS_FILTER_H

#include <gadget/mntns.h>

/* Set by the runtime, like the map, which it replaces with its own. */
const volatile bool gadget_filter_by_mntns = false;

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __type(key, gadget_mntns_id);
    __type(value, __u32);
} gadget_mntns_filter_map SEC(".maps");

static __always_inline bool gadget_should_discard_mntns_id(gadget_mntns_id mntns_id) {
    return gadget_filter_by_mntns && !bpf_map_lookup_elem(&gadget_mntns_filter_map, &mntns_id);
}

#endif

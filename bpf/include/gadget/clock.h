/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* The wall clock, by which files' times are, beside the clock of events and processes, which counts from
 * boot. */
#ifndef __GADGET_CLOCK_H
#define __GADGET_CLOCK_H

#include <vmlinux.h>

/* Set by the runtime when it loads the gadget, as eBPF cannot read the wall clock; a clock set later is not
 * seen. */
const volatile __u64 gadget_boot_to_epoch_ns = 0;

/* Nanoseconds since the epoch of a time in nanoseconds since boot, such as bpf_ktime_get_boot_ns(). */
static __always_inline __u64 gadget_epoch_ns(__u64 boot_ns) {
    return boot_ns + gadget_boot_to_epoch_ns;
}

#endif

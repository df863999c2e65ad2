/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* The record of an exec, and where it is built. */
#ifndef __TRACE_EXEC_RECORD_H
#define __TRACE_EXEC_RECORD_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <gadget/buffer.h>
#include <gadget/fair.h>
#include <gadget/macros.h>
#include "event.h"
#include "params.h"

#define PAGE_BYTES 4096
/* Room for the struct and for five texts of GADGET_LONG_PATH_MAX; a power of two. */
#define TEXTS_MAX 32768
/* Room for the environment variables that are picked. */
#define ENV_MAX 16384
/* Where the tail of a record ends at the latest. */
#define TAILS_MAX (TEXTS_MAX + ENV_MAX + max_args)

GADGET_TRACER_MAP(events, 4 * 1024 * 1024)
GADGET_TRACER(exec, events, event)

/*
 * The event, then the values of any length: at most TEXTS_MAX of texts, ENV_MAX of variables and max_args of
 * arguments, in this order. The rest lets the verifier see that what is read a page at a time does not run
 * over.
 */
union record {
    struct event event;
    char bytes[TEXTS_MAX + ENV_MAX + PAGE_BYTES + 8];
};

enum {
    RECORD_OF_SUCCESS,
    RECORD_OF_FAILURE,
    RECORDS,
};

/* Where records are built; success and failure apart, as on some kernels one can be preempted by the other.
 */
GADGET_PER_CPU_BUFFER(records, sizeof(union record), RECORDS, max_args)

static __always_inline union record *find_record(__u32 which) {
    return gadget_per_cpu_buffer(records, which);
}

/*
 * The same number, by a detour through the record (args_size is filled in last), so that the verifier knows
 * nothing of it. It then takes programs that differ only in how long something was for the same, instead of
 * checking what follows once for each; and the check of bounds that must come next is seen on old kernels
 * too, which forget what they knew of numbers kept on the stack.
 */
static __always_inline __u64 forget(union record *record, __u64 number) {
    volatile __u32 *place = &record->event.args_size;
    *place = number;
    return *place;
}

/*
 * The number that forget() got last. Who needs it after a call asks here: a number that is kept over a call
 * goes to the stack, perhaps before its bounds are checked, and kernels before 6.8 do not see that the copy
 * has them, too.
 */
static __always_inline __u64 recall(union record *record) {
    volatile __u32 *place = &record->event.args_size;
    return *place;
}

static __always_inline int send(void *ctx, union record *record, __u64 end) {
    if (!gadget_fair_should_discard(&events, end) && end <= TAILS_MAX)
        gadget_output_buf(ctx, &events, record, end);
    return 0;
}

#endif

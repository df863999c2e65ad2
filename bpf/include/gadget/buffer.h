/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * Sending records to user space through a ring buffer declared with GADGET_TRACER_MAP. Whatever does not get
 * in is counted in the ring's loss counter.
 *
 * Nothing here decides when user space wakes up: flags are 0, and the reader, which drains by time, is only
 * notified when it has caught up and waits.
 */
#ifndef __GADGET_BUFFER_H
#define __GADGET_BUFFER_H

#include <bpf/bpf_helpers.h>
#include <gadget/macros.h>

/* Room for `size` bytes (a constant) in the ring `map`, or NULL. The room must be submitted or discarded. */
#define gadget_reserve_buf(map, size)                                                                        \
    ({                                                                                                       \
        void *__buf = bpf_ringbuf_reserve(map, size, 0);                                                     \
        if (!__buf)                                                                                          \
            __gadget_count_lost(map);                                                                        \
        __buf;                                                                                               \
    })

/* Sends what gadget_reserve_buf() returned. `ctx`, `map` and `size` are taken for compatibility. */
#define gadget_submit_buf(ctx, map, buf, size)                                                               \
    ({                                                                                                       \
        bpf_ringbuf_submit(buf, 0);                                                                          \
        0L;                                                                                                  \
    })

/* Gives up what gadget_reserve_buf() returned; that is no loss. */
#define gadget_discard_buf(buf) bpf_ringbuf_discard(buf, 0)

/* Sends a copy of `size` bytes at `buf`, any size; 0 or a negative errno. */
#define gadget_output_buf(ctx, map, buf, size)                                                               \
    ({                                                                                                       \
        long __err = bpf_ringbuf_output(map, buf, size, 0);                                                  \
        if (__err)                                                                                           \
            __gadget_count_lost(map);                                                                        \
        __err;                                                                                               \
    })

#endif

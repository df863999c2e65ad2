/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * Declarations by which a gadget tells the runtime what its object holds. Each makes an unused variable whose
 * name carries the data; the runtime reads the names from the object's BTF.
 */
#ifndef __GADGET_MACROS_H
#define __GADGET_MACROS_H

#include <bpf/bpf_helpers.h>

#define __GADGET_MARK(name) const void *name __attribute__((unused))

/* GADGET_TRACER: data source `name` streams records of `struct event_type` through the ring buffer
 * `map_name`. */
#define GADGET_TRACER(name, map_name, event_type)                                                            \
    __GADGET_MARK(gadget_tracer_##name##___##map_name##___##event_type);                                     \
    const struct event_type *__gadget_tracer_type_##name __attribute__((unused));

/*
 * GADGET_TRACER_MAP: declares the ring buffer `name` of `size` bytes, a power of two, and its loss counter
 * `name_lost_samples`. The functions of buffer.h find the counter by the type of the map, hence the tag.
 */
#define GADGET_TRACER_MAP(name, size)                                                                        \
    struct gadget_tracer_map_##name {                                                                        \
        __uint(type, BPF_MAP_TYPE_RINGBUF);                                                                  \
        __uint(max_entries, size);                                                                           \
    } name SEC(".maps");                                                                                     \
    GADGET_LOSS_COUNTER(name)                                                                                \
    static __always_inline __attribute__((overloadable)) void __gadget_count_lost(                           \
        struct gadget_tracer_map_##name *map) {                                                              \
        gadget_count_lost(name);                                                                             \
    }                                                                                                        \
    __GADGET_MARK(gadget_map_tracer_##name);

/* A ring buffer that was not declared with GADGET_TRACER_MAP has no loss counter. */
static __always_inline __attribute__((overloadable)) void __gadget_count_lost(void *map) {}

/*
 * GADGET_LOSS_COUNTER: declares the map `name_lost_samples`; the runtime reports what it counts as lost
 * events. gadget_count_lost: counts one event as lost there.
 */
#define GADGET_LOSS_COUNTER(name)                                                                            \
    struct {                                                                                                 \
        __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);                                                             \
        __uint(max_entries, 1);                                                                              \
        __type(key, __u32);                                                                                  \
        __type(value, __u64);                                                                                \
    } name##_lost_samples SEC(".maps");

#define gadget_count_lost(name)                                                                              \
    ({                                                                                                       \
        __u32 __zero = 0;                                                                                    \
        __u64 *__lost = bpf_map_lookup_elem(&name##_lost_samples, &__zero);                                  \
        if (__lost)                                                                                          \
            __sync_fetch_and_add(__lost, 1);                                                                 \
    })

/* GADGET_PARAM: the `const volatile` variable `name` is a parameter that users can set. */
#define GADGET_PARAM(name) __GADGET_MARK(gadget_param_##name);

/*
 * GADGET_PER_CPU_BUFFER: declares the map `name`, in which records are built that may be larger than a
 * per-CPU map takes (32 KiB): for each CPU, `count` buffers of `size` bytes and as many more as the parameter
 * `param`, a whole number, says. gadget_per_cpu_buffer: this CPU's buffer number `which`, or NULL if there is
 * no such.
 */
#define GADGET_PER_CPU_BUFFER(name, size, count, param)                                                      \
    struct {                                                                                                 \
        __uint(type, BPF_MAP_TYPE_ARRAY);                                                                    \
        __uint(max_entries, count);                                                                          \
        __uint(key_size, sizeof(__u32));                                                                     \
        __uint(value_size, size);                                                                            \
    } name SEC(".maps");                                                                                     \
    enum { name##_per_cpu = count };                                                                         \
    __GADGET_MARK(gadget_per_cpu_buffer_##name##___##param);

#define gadget_per_cpu_buffer(name, which)                                                                   \
    ({                                                                                                       \
        __u32 __key = bpf_get_smp_processor_id() * name##_per_cpu + (which);                                 \
        bpf_map_lookup_elem(&name, &__key);                                                                  \
    })

/*
 * GADGET_ITER: data source `name` is what the iterator programs (one to three) write, records of `struct
 * type`, as one array per run. GADGET_SNAPSHOTTER is its old name.
 */
#define GADGET_ITER(name, type, ...)                                                                         \
    const struct type *__gadget_iter_type_##name __attribute__((unused));                                    \
    __GADGET_ITER_N(__VA_ARGS__, 3, 2, 1)(name, type, __VA_ARGS__)
#define GADGET_SNAPSHOTTER(name, type, ...) GADGET_ITER(name, type, __VA_ARGS__)

#define __GADGET_ITER_N(a, b, c, n, ...) __GADGET_ITER_NAME(n)
#define __GADGET_ITER_NAME(n) __GADGET_ITER_##n
#define __GADGET_ITER_1(name, type, a) __GADGET_MARK(gadget_iter_##name##___##type##___##a);
#define __GADGET_ITER_2(name, type, a, b) __GADGET_MARK(gadget_iter_##name##___##type##___##a##___##b);
#define __GADGET_ITER_3(name, type, a, b, c)                                                                 \
    __GADGET_MARK(gadget_iter_##name##___##type##___##a##___##b##___##c);

/* GADGET_MAPITER: data source `name` is the hash map `map_name`, whose key and value are structs, emptied in
 * turns. */
#define GADGET_MAPITER(name, map_name) __GADGET_MARK(gadget_mapiter_##name##___##map_name);

#endif

// What `ig image inspect` has to find its way through: calls, a callback, all forms of data
// source.
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <gadget/macros.h>
#include <gadget/types.h>

struct bpf_iter__task;

struct event {
    gadget_timestamp timestamp_raw;
    char name[16];
    __u32 numbers[3];
};

struct key {
    __u32 a;
};

struct value {
    __u64 b;
};

GADGET_TRACER_MAP(ring, 4096)
GADGET_TRACER(stream, ring, event)

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 10);
    __type(key, struct key);
    __type(value, struct value);
} table SEC(".maps");
GADGET_MAPITER(entries, table)

GADGET_ITER(list, event, walk)

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} hidden SEC(".maps");

const volatile bool switched = false;
GADGET_PARAM(switched)

static __noinline int deepest(void) {
    __u32 zero = 0;
    __u64 *found = bpf_map_lookup_elem(&hidden, &zero);
    return found ? *found : 0;
}

__noinline int deep(int x) {
    return x + deepest();
}

static long each(void *map, const void *key, void *value, void *ctx) {
    __u32 number = 1;
    bpf_map_update_elem(&ring_lost_samples, &number, &number, 0);
    return 0;
}

SEC("kprobe/do_nanosleep")
int direct(void *ctx) {
    struct event *event = bpf_ringbuf_reserve(&ring, sizeof(*event), 0);
    if (event)
        bpf_ringbuf_submit(event, 0);
    return switched;
}

SEC("kprobe/do_nanosleep")
int calls(void *ctx) {
    return deep(1);
}

SEC("kprobe/do_nanosleep")
int calls_back(void *ctx) {
    bpf_for_each_map_elem(&table, each, 0, 0);
    return 0;
}

SEC("iter/task")
int walk(struct bpf_iter__task *ctx) {
    return 0;
}

char LICENSE[] SEC("license") = "GPL";

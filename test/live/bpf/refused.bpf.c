// The verifier must refuse this: it follows a pointer nobody checked.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16);
    __type(key, __u32);
    __type(value, __u64);
} table SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_getppid")
int careless(void *ctx) {
    __u32 key = 0;
    __u64 *value = bpf_map_lookup_elem(&table, &key);
    return *value;
}

char LICENSE[] SEC("license") = "GPL";

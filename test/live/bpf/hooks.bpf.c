// One program per attach kind; each counts its runs in its own slot of `runs`.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 16);
    __type(key, __u32);
    __type(value, __u64);
} runs SEC(".maps");

const volatile __u64 step = 1;
const volatile __u32 other = 7;

static int count(__u32 slot) {
    __u64 *value = bpf_map_lookup_elem(&runs, &slot);
    if (value)
        *value += step;
    return 0;
}

SEC("tracepoint/syscalls/sys_enter_getppid")
int on_tracepoint(void *ctx) {
    return count(0);
}

SEC("raw_tp/sched_process_exec")
int on_raw_tp(void *ctx) {
    return count(1);
}

SEC("tp_btf/sched_process_fork")
int on_tp_btf(__u64 *ctx) {
    return count(2);
}

SEC("uprobe//proc/self/exe:uv_hrtime")
int on_uprobe(void *ctx) {
    return count(3);
}

SEC("perf_event")
int on_sample(void *ctx) {
    return count(4);
}

SEC("kprobe/do_nanosleep")
int on_kprobe(void *ctx) {
    return count(5);
}

SEC("?tracepoint/sched/there_is_no_such")
int on_missing(void *ctx) {
    return count(6);
}

SEC("?tp_btf/there_is_no_such")
int on_missing_btf(__u64 *ctx) {
    return count(7);
}

SEC("?xdp")
int on_packet(void *ctx) {
    return 2;
}

SEC("?uretprobe//proc/self/exe:uv_hrtime")
int on_uretprobe(void *ctx) {
    return count(8);
}

SEC("?raw_tp/there_is_no_such")
int on_missing_raw(void *ctx) {
    return count(9);
}

char LICENSE[] SEC("license") = "GPL";

// What a gadget does first: filters by mount namespace when execve begins, and reports what passes.
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1);
    __type(key, __u64);
    __type(value, __u32);
} gadget_mntns_filter_map SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 256 * 1024);
} events SEC(".maps");

struct event {
    __u64 mntns;
    __u64 boot_ns;
    char path[64];
};

struct execve_args {
    __u64 common;
    __u64 nr;
    const char *path;
};

SEC("tracepoint/syscalls/sys_enter_execve")
int execve_begins(struct execve_args *args) {
    struct task_struct *task = (void *)bpf_get_current_task();
    __u64 mntns = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
    if (!bpf_map_lookup_elem(&gadget_mntns_filter_map, &mntns))
        return 0;
    struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
    if (!event)
        return 0;
    event->mntns = mntns;
    event->boot_ns = bpf_ktime_get_boot_ns();
    __builtin_memset(event->path, 0, sizeof(event->path));
    bpf_probe_read_user_str(event->path, sizeof(event->path), args->path);
    bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
    return 0;
}

char LICENSE[] SEC("license") = "GPL";

// One program for each kind of hook; each sends an event with its name when a file is removed, a program
// executed, a packet sent, or time passes.
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>
#include <gadget/buffer.h>
#include <gadget/macros.h>
#include <gadget/types.h>

#define TC_ACT_UNSPEC -1
#define ALLOWED 1

/* include/uapi/linux/bpf.h, as far as it is read here. */
struct __sk_buff {
    __u32 len;
};
struct bpf_sock_addr {
    __u32 user_family;
    __u32 user_ip4;
    __u32 user_ip6[4];
    __u32 user_port;
};

struct event {
    gadget_timestamp timestamp_raw;
    /* The process's ID, or the size of a packet, or a port. */
    __u64 value;
    /* Of the file that is removed, told by a program that may be missing. */
    __u64 inode;
    char hook[24];
};

/* The one program to be loaded, in the gadget that has no optional ones. */
const volatile char only[24] = "";
GADGET_PARAM(only)

GADGET_TRACER_MAP(events, 256 * 1024)
GADGET_TRACER(hooks, events, event)

/* By process. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, __u64);
    __type(value, __u64);
} removed SEC(".maps");

static __always_inline void send(void *ctx, const char *hook, __u64 hook_size, __u64 value, __u64 inode) {
    struct event event = {.value = value, .inode = inode};

    event.timestamp_raw = bpf_ktime_get_boot_ns();
    __builtin_memcpy(event.hook, hook, hook_size);
    gadget_output_buf(ctx, &events, &event, sizeof(event));
}

#define SEND(ctx, hook, value, inode) send(ctx, hook, sizeof(hook), value, inode)

/* A program that sends the ID of its process. */
#define HOOK(name, section, hook)                                                                            \
    SEC(section) int name(void *ctx) {                                                                       \
        SEND(ctx, hook, bpf_get_current_pid_tgid() >> 32, 0);                                                \
        return 0;                                                                                            \
    }

HOOK(ig_raw_tp, "raw_tp/sched_process_exec", "raw_tp")
HOOK(ig_tp_btf, "tp_btf/sched_process_exec", "tp_btf")
HOOK(ig_kprobe, "kprobe/vfs_unlink", "kprobe")
HOOK(ig_kretprobe, "kretprobe/vfs_unlink", "kretprobe")
HOOK(ig_kprobe_multi, "kprobe.multi/vfs_unlin*", "kprobe.multi")
HOOK(ig_kretprobe_multi, "kretprobe.multi/vfs_unlin*", "kretprobe.multi")
HOOK(ig_ksyscall, "ksyscall/unlinkat", "ksyscall")
HOOK(ig_kretsyscall, "kretsyscall/unlinkat", "kretsyscall")
HOOK(ig_fexit, "fexit/security_inode_unlink", "fexit")
HOOK(ig_fmod_ret, "fmod_ret/security_inode_unlink", "fmod_ret")
HOOK(ig_lsm, "lsm/inode_unlink", "lsm")
HOOK(ig_uprobe, "uprobe//proc/self/exe:uv_fs_unlink", "uprobe")
HOOK(ig_uretprobe, "uretprobe//proc/self/exe:uv_fs_unlink", "uretprobe")
HOOK(ig_perf_event, "perf_event", "perf_event")

SEC("fentry/security_inode_unlink")
int BPF_PROG(ig_fentry, struct inode *directory, struct dentry *dentry) {
    __u64 process = bpf_get_current_pid_tgid() >> 32;
    __u64 inode = BPF_CORE_READ(dentry, d_inode, i_ino);

    bpf_map_update_elem(&removed, &process, &inode, BPF_ANY);
    SEND(ctx, "fentry", process, 0);
    return 0;
}

SEC("tracepoint/syscalls/sys_exit_unlinkat")
int ig_tracepoint(struct trace_event_raw_sys_exit *ctx) {
    __u64 process = bpf_get_current_pid_tgid() >> 32;
    __u64 *inode = bpf_map_lookup_elem(&removed, &process);

    SEND(ctx, "tracepoint", process, inode ? *inode : 0);
    return 0;
}

SEC("cgroup/connect4")
int ig_cgroup(struct bpf_sock_addr *ctx) {
    SEND(ctx, "cgroup", bpf_ntohs(ctx->user_port), 0);
    return ALLOWED;
}

SEC("cgroup_skb/egress")
int ig_cgroup_skb(struct __sk_buff *skb) {
    SEND(skb, "cgroup_skb", skb->len, 0);
    return ALLOWED;
}

SEC("classifier/ingress/packets")
int ig_tc(struct __sk_buff *skb) {
    SEND(skb, "tc", skb->len, 0);
    return TC_ACT_UNSPEC;
}

SEC("socket")
int ig_socket(struct __sk_buff *skb) {
    SEND(skb, "socket", skb->len, 0);
    return 0; /* of its bytes, none are kept */
}

char LICENSE[] SEC("license") = "GPL";

// An empty program for each way into the kernel, at hooks that hardly anything passes.
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>

#define EMPTY(name, section)                                                                                 \
    SEC("?" section) int name(void *ctx) {                                                                   \
        return 0;                                                                                            \
    }

// Attached for a moment. bpf_fentry_test1 is called by BPF_PROG_TEST_RUN only, which also passes the
// tracepoint bpf_test_finish; who sets disk quotas meanwhile is let.
EMPTY(on_tracepoint, "tracepoint/bpf_test_run/bpf_test_finish")
EMPTY(on_raw_tp, "raw_tp/bpf_test_finish")
EMPTY(on_tp_btf, "tp_btf/bpf_test_finish")
EMPTY(on_kprobe, "kprobe/bpf_fentry_test1")
EMPTY(on_kretprobe, "kretprobe/bpf_fentry_test1")
EMPTY(on_kprobe_multi, "kprobe.multi/bpf_fentry_test1")
EMPTY(on_fentry, "fentry/bpf_fentry_test1")
EMPTY(on_fexit, "fexit/bpf_fentry_test1")
EMPTY(on_fmod_ret, "fmod_ret/security_quotactl")
EMPTY(on_lsm, "lsm/quotactl")
EMPTY(on_iter, "iter/task")
EMPTY(on_uprobe, "uprobe")
EMPTY(on_uretprobe, "uretprobe")
EMPTY(on_perf_event, "perf_event")

// On the loopback device; what others have attached there sees its packets all the same.
#define TC_ACT_UNSPEC -1
SEC("?tc") int on_tc(void *ctx) {
    return TC_ACT_UNSPEC;
}

// Only loaded.
EMPTY(on_socket, "socket")
EMPTY(on_xdp, "xdp")
EMPTY(on_cgroup_skb, "cgroup_skb/ingress")
EMPTY(on_cgroup_sock, "cgroup/sock_create")
EMPTY(on_cgroup_connect, "cgroup/connect4")
EMPTY(on_cgroup_device, "cgroup/dev")
EMPTY(on_cgroup_sysctl, "cgroup/sysctl")
EMPTY(on_cgroup_sockopt, "cgroup/getsockopt")
EMPTY(on_sockops, "sockops")
EMPTY(on_sk_msg, "sk_msg")
EMPTY(on_sk_skb, "sk_skb")
EMPTY(on_sk_lookup, "sk_lookup")

char LICENSE[] SEC("license") = "GPL";

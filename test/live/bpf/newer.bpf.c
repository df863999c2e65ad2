// Calls a helper that no kernel has yet.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static long (*bpf_of_the_future)(void) = (void *)9999;

SEC("tracepoint/syscalls/sys_enter_getppid")
int ahead(void *ctx) {
    return bpf_of_the_future();
}

char LICENSE[] SEC("license") = "GPL";

// Emits a burst of records, every tenth discarded, whenever the chosen process calls getppid(2).
// `burst` of them.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4096);
} events SEC(".maps");

const volatile __u32 pid;
const volatile __u32 burst = 1;
__u64 next;
__u64 lost;

struct event {
    __u64 number;
    __u32 tail;
};

SEC("tracepoint/syscalls/sys_enter_getppid")
int emit(void *ctx) {
    if (bpf_get_current_pid_tgid() >> 32 != pid)
        return 0;
    for (__u32 i = 0; i < burst && i < 1000; i++) {
        struct event *event = bpf_ringbuf_reserve(&events, 12, 0);
        if (!event) {
            lost++;
            continue;
        }
        event->number = next++;
        event->tail = 0xabcd;
        if (event->number % 10 == 9)
            bpf_ringbuf_discard(event, BPF_RB_NO_WAKEUP);
        else
            bpf_ringbuf_submit(event, 0);
    }
    return 0;
}

char LICENSE[] SEC("license") = "GPL";

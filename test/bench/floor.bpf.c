/* The least that an exec tracer can do in the kernel: one record per exec, no wake-up of the reader. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "floor.h"

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4 * 1024 * 1024);
} events SEC(".maps");

__u64 lost;

/* Arguments: struct task_struct *, pid_t old_pid, struct linux_binprm *. */
SEC("raw_tp/sched_process_exec")
int floor_exec(struct bpf_raw_tracepoint_args *ctx) {
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct task_struct *parent = BPF_CORE_READ(task, real_parent);
    struct linux_binprm *bprm = (struct linux_binprm *)ctx->args[2];
    struct exec *exec = bpf_ringbuf_reserve(&events, sizeof(*exec), 0);

    if (!exec) {
        __sync_fetch_and_add(&lost, 1);
        return 0;
    }
    exec->boot_ns = bpf_ktime_get_boot_ns();
    exec->pid = bpf_get_current_pid_tgid() >> 32;
    exec->parent_pid = BPF_CORE_READ(parent, tgid);
    exec->uid = (__u32)bpf_get_current_uid_gid();
    bpf_get_current_comm(exec->comm, sizeof(exec->comm));
    bpf_core_read(exec->parent_comm, sizeof(exec->parent_comm), &parent->comm);
    bpf_probe_read_kernel_str(exec->filename, sizeof(exec->filename), BPF_CORE_READ(bprm, filename));

    __u64 start = BPF_CORE_READ(task, mm, arg_start);
    __u64 size = BPF_CORE_READ(task, mm, arg_end) - start;
    if (size > sizeof(exec->args))
        size = sizeof(exec->args);
    exec->args_size = bpf_probe_read_user(exec->args, size, (void *)start) ? 0 : size;
    bpf_ringbuf_submit(exec, BPF_RB_NO_WAKEUP);
    return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

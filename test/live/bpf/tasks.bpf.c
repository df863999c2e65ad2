// Lists the tasks' ids through an iterator.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct seq_file;
struct task_struct {
    int pid;
    int tgid;
};
struct bpf_iter_meta {
    struct seq_file *seq;
};
struct bpf_iter__task {
    struct bpf_iter_meta *meta;
    struct task_struct *task;
};
#pragma clang attribute pop

SEC("iter/task")
int list(struct bpf_iter__task *ctx) {
    struct task_struct *task = ctx->task;
    if (!task)
        return 0;
    __u32 ids[2] = {task->tgid, task->pid};
    bpf_seq_write(ctx->meta->seq, ids, sizeof(ids));
    return 0;
}

char LICENSE[] SEC("license") = "GPL";

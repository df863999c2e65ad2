/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * trace_exec: one record for every program that is executed and, on request, for every attempt that fails.
 *
 * Success is seen at the one tracepoint at which the new program is in place, sched_process_exec. Failure
 * is seen at the end of the system call, by a program that is loaded only if failures are asked for
 * (gadget.yaml, programs.*.enabledBy); so is the one that sees processes end (exit.h).
 */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <gadget/filesystem.h>
#include <gadget/filter.h>
#include "describe.h"
#include "exit.h"
#include "failure.h"
#include "identity.h"
#include "origin.h"
#include "params.h"
#include "record.h"
#include "strings.h"
#include "texts.h"
#include "wanted.h"

/*
 * The file that execve was given. For a binary it is the linux_binprm's. An interpreter has taken the
 * script's place there; the script is kept only if its binfmt_misc handler wants it open, as a descriptor,
 * otherwise the exec has just released it.
 */
static __always_inline struct file *executed_file(struct linux_binprm *bprm) {
    if (BPF_CORE_READ_BITFIELD_PROBED(bprm, have_execfd))
        return get_struct_file_for_fd(BPF_CORE_READ(bprm, execfd));
    if (BPF_CORE_READ(bprm, interp) == BPF_CORE_READ(bprm, filename))
        return BPF_CORE_READ(bprm, file);
    return (struct file *)gadget_pending_exec_file(false);
}

/* Arguments: struct task_struct *, pid_t old_pid, struct linux_binprm * (include/trace/events/sched.h). */
SEC("raw_tp/sched_process_exec")
int ig_sched_exec(struct bpf_raw_tracepoint_args *ctx) {
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct linux_binprm *bprm = (struct linux_binprm *)ctx->args[2];
    __u64 end = sizeof(struct event);

    if (gadget_should_discard_data_current())
        return 0;
    union record *record = new_record(RECORD_OF_SUCCESS, task);
    if (!record)
        return 0;

    if (exits)
        begin_life(&record->event, task, bprm);

    struct file *file = wants_file() ? executed_file(bprm) : NULL;
    struct file *exe = wants_exe() ? BPF_CORE_READ(task, mm, exe_file) : NULL;
    struct file *parent_exe = wants_parent_exe() ? BPF_CORE_READ(task, real_parent, mm, exe_file) : NULL;
    if (file)
        describe_file(&record->event, file, task);
    describe_exes(&record->event, exe, parent_exe, task);
    describe_identity(&record->event, task);
    describe_origin(&record->event, file, exe, task);
    if (exe && gadget_wanted(rights))
        describe_rights_before(&record->event, exe, bprm);

    end = append_filename(record, end, BPF_CORE_READ(bprm, filename));
    if (paths || hash)
        end = append_paths(record, end, file, exe, parent_exe, task);
    end = append_ancestors(record, end, task);
    if (env_names[0] && gadget_wanted(env)) {
        struct mm_struct *mm = BPF_CORE_READ(task, mm);
        struct reading env = {.address = BPF_CORE_READ(mm, env_start), .stop = BPF_CORE_READ(mm, env_end)};
        end = append_env(RECORD_OF_SUCCESS, record, end, env);
    }
    if (gadget_wanted(args)) {
        record->event.args_count = BPF_CORE_READ(bprm, argc);
        end = append_args(record, end, task);
    }
    return send(ctx, record, end);
}

/* Arguments: struct pt_regs *, long ret (include/trace/events/syscalls.h). */
SEC("raw_tp/sys_exit")
int ig_sys_exit(struct bpf_raw_tracepoint_args *ctx) {
    return end_system_call(ctx, (struct pt_regs *)ctx->args[0], ctx->args[1]);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * Execs that fail, seen where every system call ends: its registers still hold what it was given. Nothing is
 * kept from its beginning to its end, so nothing can be stale, full or missing. The raw tracepoint is also
 * passed by 32-bit programs, which the tracepoints of single system calls leave out, and by system calls that
 * a seccomp filter refused.
 */
#ifndef __TRACE_EXEC_FAILURE_H
#define __TRACE_EXEC_FAILURE_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <gadget/filesystem.h>
#include <gadget/filter.h>
#include "describe.h"
#include "identity.h"
#include "origin.h"
#include "params.h"
#include "record.h"
#include "strings.h"
#include "texts.h"
#include "wanted.h"

/* What an exec was given. */
struct attempt {
    __u64 filename;
    __u64 argv;
    __u64 envp;
    __s32 dirfd;
    __u32 pointer_bytes; /* of the caller's own pointers, such as those in argv */
};

#define AT_FDCWD -100

/* A system call as its registers show it. */
struct system_call {
    __u32 number;
    bool is_32_bit; /* with numbers and pointers of its own */
    __u64 arguments[4];
};

#if defined(__TARGET_ARCH_x86)
/* arch/x86/entry/syscalls/syscall_64.tbl and syscall_32.tbl */
#define EXECVE 59
#define EXECVEAT 322
#define EXECVE_32 11
#define EXECVEAT_32 358
#define TS_COMPAT 2 /* arch/x86/include/asm/thread_info.h */

static __always_inline __u32 system_call_number(const struct pt_regs *regs) {
    __u32 number = 0;
    bpf_probe_read_kernel(&number, sizeof(number), &regs->orig_ax);
    return number;
}

static __always_inline void read_system_call(struct system_call *call, const struct pt_regs *regs) {
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct pt_regs all = {};

    bpf_probe_read_kernel(&all, sizeof(all), regs);
    call->is_32_bit = BPF_CORE_READ(task, thread_info.status) & TS_COMPAT;
    call->arguments[0] = call->is_32_bit ? all.bx : all.di;
    call->arguments[1] = call->is_32_bit ? all.cx : all.si;
    call->arguments[2] = all.dx;
    call->arguments[3] = call->is_32_bit ? all.si : all.r10;
}
#elif defined(__TARGET_ARCH_arm64)
/* include/uapi/asm-generic/unistd.h and arch/arm64/tools/syscall_32.tbl */
#define EXECVE 221
#define EXECVEAT 281
#define EXECVE_32 11
#define EXECVEAT_32 387
#define PSR_MODE32_BIT 0x10 /* arch/arm64/include/uapi/asm/ptrace.h */

static __always_inline __u32 system_call_number(const struct pt_regs *regs) {
    __u32 number = 0;
    bpf_probe_read_kernel(&number, sizeof(number), &regs->syscallno);
    return number;
}

static __always_inline void read_system_call(struct system_call *call, const struct pt_regs *regs) {
    struct pt_regs all = {};

    bpf_probe_read_kernel(&all, sizeof(all), regs);
    call->is_32_bit = all.user_regs.pstate & PSR_MODE32_BIT;
    call->arguments[0] = all.orig_x0;
    call->arguments[1] = all.user_regs.regs[1];
    call->arguments[2] = all.user_regs.regs[2];
    call->arguments[3] = all.user_regs.regs[3];
}
#else
#error "how a system call is called is not written down for this architecture"
#endif

/* Whether the system call whose end these registers show is an exec; what it was given. */
static __always_inline bool read_attempt(struct attempt *attempt, const struct pt_regs *regs) {
    struct system_call call = {.number = system_call_number(regs)};
    if (call.number != EXECVE && call.number != EXECVEAT && call.number != EXECVE_32 &&
        call.number != EXECVEAT_32)
        return false;

    read_system_call(&call, regs);
    bool is_execveat = call.number == (call.is_32_bit ? EXECVEAT_32 : EXECVEAT);
    if (!is_execveat && call.number != (call.is_32_bit ? EXECVE_32 : EXECVE))
        return false;
    attempt->dirfd = is_execveat ? (__s32)call.arguments[0] : AT_FDCWD;
    attempt->filename = is_execveat ? call.arguments[1] : call.arguments[0];
    attempt->argv = is_execveat ? call.arguments[2] : call.arguments[1];
    attempt->envp = is_execveat ? call.arguments[3] : call.arguments[2];
    attempt->pointer_bytes = call.is_32_bit ? 4 : 8;
    return true;
}

/* include/linux/errno.h: results that no program sees. */
#define ERESTARTSYS 512
#define ERESTARTNOINTR 513
#define ERESTARTNOHAND 514
#define EINTR 4
#define SIGKILL 9

/*
 * The error as the caller sees it, or 0 if it sees none: of an exec in the midst of which its thread is
 * killed, by a sibling's exec too, and of one that begins anew. Where only the signal's handler decides
 * whether it begins anew, it is taken for interrupted.
 */
static __always_inline __u32 seen_error(__u32 error, struct task_struct *task) {
    bool is_killed = BPF_CORE_READ(task, pending.signal.sig[0]) >> (SIGKILL - 1) & 1;
    if (is_killed || error == ERESTARTNOINTR)
        return 0;
    return error == ERESTARTSYS || error == ERESTARTNOHAND ? EINTR : error;
}

static __always_inline __u64 append_char(union record *record, __u64 end, char c) {
    record->bytes[end & (TEXTS_MAX - 1)] = c;
    return end + 1;
}

/* The decimal digits of a number that is not negative. */
static __always_inline __u64 append_number(union record *record, __u64 end, __u32 number) {
    bool has_begun = false;
#pragma clang loop unroll(full)
    for (__u32 place = 1000000000; place > 0; place /= 10) {
        __u32 digit = number / place % 10;
        has_begun = has_begun || digit > 0 || place == 1;
        if (has_begun)
            end = append_char(record, end, '0' + digit);
    }
    return end;
}

/* The path given, in the form of the kernel's own linux_binprm.filename: /dev/fd/N or /dev/fd/N/PATH for
 * execveat. */
static __always_inline __u64 append_user_filename(union record *record, __u64 end,
                                                  const struct attempt *attempt) {
    const char *filename = (const char *)attempt->filename;
    const __u64 offset = end;
    char first = '\0';

    if (!gadget_wanted(filename) || bpf_probe_read_user(&first, sizeof(first), filename))
        return end;
    if (attempt->dirfd >= 0 && first != '/') {
        const char prefix[] = "/dev/fd/";
        for (int i = 0; i < sizeof(prefix) - 1; i++)
            end = append_char(record, end, prefix[i]);
        end = append_number(record, end, attempt->dirfd);
        if (first != '\0')
            end = append_char(record, end, '/');
    }
    end = forget(record, end);
    if (end > TEXTS_MAX - GADGET_LONG_PATH_MAX)
        return offset;
    long length = bpf_probe_read_user_str(&record->bytes[end], GADGET_LONG_PATH_MAX, filename);
    if (length > 0)
        end += length - 1;
    record->event.filename.offset = offset;
    record->event.filename.size = end - offset;
    return end;
}

static __always_inline __u64 append_vectors(union record *record, __u64 end, const struct attempt *attempt) {
    struct reading env = {.vector = attempt->envp, .pointer_bytes = attempt->pointer_bytes};
    struct reading args = {.vector = attempt->argv, .pointer_bytes = attempt->pointer_bytes};

    if (env_names[0] && gadget_wanted(env))
        end = append_env(RECORD_OF_FAILURE, record, end, env);
    if (gadget_wanted(args))
        end = append_user_args(RECORD_OF_FAILURE, record, end, args);
    return end;
}

static __always_inline int report_failure(void *ctx, const struct attempt *attempt, __u32 error,
                                          struct task_struct *task) {
    union record *record = new_record(RECORD_OF_FAILURE, task);
    __u64 end = sizeof(struct event);
    struct file *file = NULL;

    if (!record)
        return 0;
    record->event.error_raw = error;
    /*
     * Past its point of no return, the exec has replaced the memory that has what it was given, and released
     * the caller's program: this is found out by the new memory's not being complete.
     */
    bool is_lost = BPF_CORE_READ(task, mm, arg_end) == 0;
    /* Released by the exec that failed, if it came as far as opening it. */
    if (!is_lost && wants_file())
        file = (struct file *)gadget_pending_exec_file(true);
    if (file)
        describe_file(&record->event, file, task);
    describe_identity(&record->event, task);
    describe_origin(&record->event, file, NULL, task);

    if (!is_lost)
        end = append_user_filename(record, end, attempt);
    if (paths || hash)
        end = append_paths(record, end, file, BPF_CORE_READ(task, mm, exe_file),
                           BPF_CORE_READ(task, real_parent, mm, exe_file), task);
    end = append_ancestors(record, end, task);
    if (is_lost)
        record->event.args_truncated = true;
    else
        end = append_vectors(record, end, attempt);
    return send(ctx, record, end);
}

/* Nearly all system calls of the machine leave at the first line. */
static __always_inline int end_system_call(void *ctx, const struct pt_regs *regs, long result) {
    struct attempt attempt = {};

    if (result >= 0 || ignore_failed || !read_attempt(&attempt, regs))
        return 0;
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    __u32 error = seen_error(-result, task);
    if (error == 0 || gadget_should_discard_data_current())
        return 0;
    return report_failure(ctx, &attempt, error, task);
}

#endif

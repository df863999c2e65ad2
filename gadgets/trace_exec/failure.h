/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* Execs that fail: the entry of the system call has the arguments, its exit the result. */
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
#include "texts.h"

/* Arguments read of an attempt that failed, and the bytes of each. */
#define FAILED_ARGS_MAX 256
#define FAILED_ARG_BYTES 4096

/* What the entry of execve knows and the exit needs. */
struct attempt {
    __u64 filename;
    __u64 argv;
    __s32 dirfd;
    __u32 has_succeeded; /* whatever the system call says it returns: seccomp and ptrace can rewrite that */
};

/* By pid_tgid. Entries of threads that died within execve are pushed out in time. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 16384);
    __type(key, __u64);
    __type(value, struct attempt);
} exec_map SEC(".maps");

/* Failures whose entry was not seen, or was pushed out of exec_map. */
GADGET_LOSS_COUNTER(exec_map)

/* Tells the system call's exit that this exec is done, also under the thread id that it had before. */
static __always_inline void mark_success(pid_t old_tid) {
    __u64 key = bpf_get_current_pid_tgid();
    __u64 old_key = (key & 0xffffffff00000000ULL) | (__u32)old_tid;
    struct attempt attempt = {.has_succeeded = true};

    if (old_key != key)
        bpf_map_delete_elem(&exec_map, &old_key);
    bpf_map_update_elem(&exec_map, &key, &attempt, BPF_ANY);
}

static __always_inline int begin_attempt(__u64 filename, __u64 argv, int dirfd) {
    struct attempt attempt = {.filename = filename, .argv = argv, .dirfd = dirfd};
    __u64 key = bpf_get_current_pid_tgid();

    if (ignore_failed || gadget_should_discard_data_current())
        return 0;
    bpf_map_update_elem(&exec_map, &key, &attempt, BPF_ANY);
    return 0;
}

static __always_inline __u64 append_char(union record *record, __u64 end, char c) {
    record->bytes[end & (RECORD_MAX - 1)] = c;
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

    if (bpf_probe_read_user(&first, sizeof(first), filename))
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
    if (end > RECORD_MAX - GADGET_LONG_PATH_MAX)
        return offset;
    long length = bpf_probe_read_user_str(&record->bytes[end], GADGET_LONG_PATH_MAX, filename);
    if (length > 0)
        end += length - 1;
    record->event.filename.offset = offset;
    record->event.filename.size = end - offset;
    return end;
}

/*
 * The argument vector of a failed attempt, string by string. How long it is so far is kept in the record, as
 * in read_args_by_page().
 */
static __always_inline __u64 append_user_args(union record *record, __u64 end, __u64 argv) {
    struct event *event = &record->event;
    volatile __u32 *size = &event->argv.size;
    __u64 arg = 0;

    event->argv.offset = forget(record, end);
    for (int i = 0; argv && i < FAILED_ARGS_MAX; i++) {
        if (bpf_probe_read_user(&arg, sizeof(arg), (void *)argv) || !arg)
            break;
        end = event->argv.offset + *size;
        if (end > RECORD_MAX - FAILED_ARG_BYTES)
            break;
        long length = bpf_probe_read_user_str(&record->bytes[end], FAILED_ARG_BYTES, (void *)arg);
        if (length <= 0)
            break;
        /* One that just fits counts as cut, too. */
        event->args_truncated |= length == FAILED_ARG_BYTES;
        event->args_count++;
        *size += length;
        argv += sizeof(arg);
    }
    /* Whole only if what follows the last string read is the NULL that ends the vector. */
    if (argv && (bpf_probe_read_user(&arg, sizeof(arg), (void *)argv) || arg))
        event->args_truncated = true;
    end = forget(record, event->argv.offset + *size);
    event->args_size = *size;
    return end;
}

static __always_inline int report_failure(void *ctx, const struct attempt *attempt, __u32 error) {
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    union record *record = new_record(RECORD_OF_FAILURE, task);
    __u64 end = sizeof(struct event);

    if (!record)
        return 0;
    record->event.error_raw = error;
    /* Released by the exec that failed, if it came as far as opening it. */
    struct file *file = (struct file *)gadget_pending_exec_file(true);
    if (file)
        describe_file(&record->event, file, task);
    describe_identity(&record->event, task);
    describe_origin(&record->event, file, NULL, task);

    end = append_user_filename(record, end, attempt);
    if (paths)
        end = append_paths(record, end, file, BPF_CORE_READ(task, mm, exe_file),
                           BPF_CORE_READ(task, real_parent, mm, exe_file), task);
    end = append_ancestors(record, end, task);
    end = append_user_args(record, end, attempt->argv);
    return send(ctx, record, end);
}

static __always_inline int end_attempt(void *ctx, long result) {
    __u64 key = bpf_get_current_pid_tgid();

    if (ignore_failed)
        return 0;
    struct attempt *found = bpf_map_lookup_elem(&exec_map, &key);
    if (!found) {
        if (result < 0 && !gadget_should_discard_data_current())
            gadget_count_lost(exec_map);
        return 0;
    }
    struct attempt attempt = *found;
    bpf_map_delete_elem(&exec_map, &key);
    if (result >= 0 || attempt.has_succeeded)
        return 0;
    return report_failure(ctx, &attempt, -result);
}

#endif

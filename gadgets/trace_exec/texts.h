/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * What a record says in any number of bytes: paths and arguments. Functions that put something at `end` of a
 * record return the new end.
 */
#ifndef __TRACE_EXEC_TEXTS_H
#define __TRACE_EXEC_TEXTS_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <gadget/filesystem.h>
#include "params.h"
#include "record.h"
#include "wanted.h"

static __always_inline __u64 append_path(union record *record, __u64 end, gadget_tail_string *place,
                                         const struct path *path, struct task_struct *task) {
    __u64 start = gadget_path_start(path, task);
    struct gadget_path_buffer *buffer = gadget_path_buffer();

    if (!buffer || start >= GADGET_LONG_PATH_MAX - 1)
        return end;
    __u64 size = (GADGET_LONG_PATH_MAX - 1 - start) & (GADGET_LONG_PATH_MAX - 1);
    end = forget(record, end);
    if (end > TEXTS_MAX - GADGET_LONG_PATH_MAX)
        return recall(record);
    char *to = &record->bytes[end];
    barrier_var(to);
    if (bpf_probe_read_kernel(to, size, &buffer->bytes[start]))
        return recall(record);
    place->offset = recall(record);
    place->size = size;
    return place->offset + size;
}

/* That of `file`, and those of --paths. */
static __always_inline __u64 append_paths(union record *record, __u64 end, struct file *file,
                                          struct file *exe, struct file *parent_exe,
                                          struct task_struct *task) {
    struct event *event = &record->event;
    struct fs_struct *fs = BPF_CORE_READ(task, fs);

    if (file && gadget_wanted(file_path))
        end = append_path(record, end, &event->file, &file->f_path, task);
    if (!paths)
        return end;
    if (gadget_wanted(cwd))
        end = append_path(record, end, &event->cwd, &fs->pwd, task);
    if (exe && gadget_wanted(exepath))
        end = append_path(record, end, &event->exepath, &exe->f_path, task);
    if (parent_exe && gadget_wanted(parent_exepath))
        end = append_path(record, end, &event->parent_exepath, &parent_exe->f_path,
                          BPF_CORE_READ(task, real_parent));
    return end;
}

/* The kernel's own copy of the path given. */
static __always_inline __u64 append_filename(union record *record, __u64 end, const char *filename) {
    if (!gadget_wanted(filename) || end > TEXTS_MAX - GADGET_LONG_PATH_MAX)
        return end;
    long length = bpf_probe_read_kernel_str(&record->bytes[end], GADGET_LONG_PATH_MAX, filename);
    if (length <= 1)
        return end;
    record->event.filename.offset = end;
    record->event.filename.size = length - 1;
    return end + length - 1;
}

/*
 * Reads up to the first page that is not there; the number of bytes read. That number is kept in the record,
 * as the verifier then knows nothing of it and sees all turns of the loop as alike.
 */
static __always_inline __u64 read_args_by_page(union record *record, __u64 end, __u64 size, __u64 address) {
    volatile __u32 *done = &record->event.argv.size;

    *done = 0;
    for (int i = 0; i <= max_args / PAGE_BYTES + 1; i++) {
        __u64 from = address + *done;
        __u64 chunk = PAGE_BYTES - (from & (PAGE_BYTES - 1));
        __u64 at = end + *done;
        if (*done >= size)
            break;
        if (chunk > size - *done)
            chunk = size - *done;
        barrier_var(at);
        barrier_var(chunk);
        if (at > TAILS_MAX || chunk > PAGE_BYTES)
            break;
        if (bpf_probe_read_user(&record->bytes[at], chunk, (void *)from))
            break;
        *done += chunk;
    }
    return *done;
}

/*
 * The argument vector of a program in place: one area of NUL-terminated strings. Where it begins is kept in
 * the record over the call that reads it, see recall().
 */
static __always_inline __u64 append_args(union record *record, __u64 end, struct task_struct *task) {
    struct event *event = &record->event;
    volatile __u32 *offset = &event->argv.offset;
    __u64 address = BPF_CORE_READ(task, mm, arg_start);
    __u64 whole = BPF_CORE_READ(task, mm, arg_end) - address;
    __u64 size = forget(record, whole < max_args ? whole : max_args);

    end = forget(record, end);
    if (end > TEXTS_MAX + ENV_MAX || size > max_args)
        return recall(record);
    *offset = end;
    char *to = &record->bytes[end];
    barrier_var(to);
    if (size > 0 && bpf_probe_read_user(to, size, (void *)address))
        size = read_args_by_page(record, *offset, forget(record, size), address);
    end = *offset;
    event->argv.size = size;
    event->args_size = whole;
    event->args_truncated = size < whole;
    /* The list stays well-formed: the last string ends where it was cut. */
    if (size > 0 && size < whole) {
        __u64 last = forget(record, end + size - 1);
        if (last < TAILS_MAX)
            record->bytes[last] = '\0';
        event->args_size = whole;
    }
    return end + size;
}

#endif

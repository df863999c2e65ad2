/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * Strings that are read one by one from the memory of the current process: environment variables, of which
 * only those asked for stay in the record, and the arguments of an exec that failed.
 */
#ifndef __TRACE_EXEC_STRINGS_H
#define __TRACE_EXEC_STRINGS_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "params.h"
#include "record.h"

/* A string is read in pieces of a page: that many in a call of read_strings(), and in that many calls. */
#define PIECES_PER_CALL 128
#define CALLS_MAX 256

/*
 * How far the reading has come. That is kept here and not in variables, so that the verifier knows nothing of
 * it and sees all turns of the loop as alike.
 */
struct reading {
    __u64 vector; /* where the pointer to the next string stands; 0 if they lie one behind the other */
    __u32 pointer_bytes;
    __u64 address; /* what is read next */
    __u64 stop;    /* where strings that lie one behind the other end */
    __u32 end;     /* of the record */
    __u32 limit;   /* of the record's end */
    __u32 count;
    bool is_env;     /* only variables asked for stay */
    bool is_inside;  /* a string that goes on */
    bool is_skipped; /* that string */
    bool is_cut;
    bool is_done;
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, RECORDS);
    __type(key, __u32);
    __type(value, struct reading);
} readings SEC(".maps");

/* Whether the text at `at` of the record begins with a name asked for and an equals sign. */
__noinline int is_variable_asked_for(__u32 which, __u32 at) {
    union record *record = find_record(which);
    bool is_same = true;
    __u32 length = 0;

    if (!record || at > TAILS_MAX)
        return false;
    const char *text = &record->bytes[at];
    for (int i = 0; i < ENV_NAMES_MAX; i++) {
        char c = env_names[i];
        char found = text[length & (ENV_NAMES_MAX - 1)];
        if (c != ',' && c != '\0') {
            is_same = is_same && found == c;
            length++;
            continue;
        }
        if (is_same && length > 0 && found == '=')
            return true;
        if (c == '\0')
            return false;
        is_same = true;
        length = 0;
    }
    return false;
}

/* Finds the next string; false if there is none. */
static __always_inline bool find_string(volatile struct reading *reading) {
    __u64 address = 0;
    long error;

    if (!reading->vector)
        return reading->address < reading->stop;
    if (reading->pointer_bytes == 4)
        error = bpf_probe_read_user(&address, 4, (void *)reading->vector);
    else
        error = bpf_probe_read_user(&address, 8, (void *)reading->vector);
    if (error)
        reading->is_cut = true;
    reading->vector += reading->pointer_bytes;
    reading->address = address;
    return address != 0;
}

/* Of a string that goes on in a page that is not there, what is; its length with a NUL at the end. */
static __always_inline long read_rest_of_page(char *to, __u64 address) {
    __u32 rest = PAGE_BYTES - (address & (PAGE_BYTES - 1));
    if (bpf_probe_read_user(to, rest, (void *)address))
        rest = 0;
    to[rest] = '\0';
    return rest + 1;
}

/* Reads a page of a string to the end of the record; false if nothing more is to be read. */
static __always_inline bool read_piece(__u32 which, union record *record, volatile struct reading *reading) {
    __u32 end = reading->end;
    __u64 address = reading->address;

    if (end > TAILS_MAX)
        return false;
    long length = bpf_probe_read_user_str(&record->bytes[end], PAGE_BYTES, (void *)address);
    bool is_missing = length < 0;
    /* Older kernels count no NUL if that is all. */
    if (length == 0) {
        record->bytes[end] = '\0';
        length = 1;
    }
    if (is_missing) {
        length = read_rest_of_page(&record->bytes[end], address);
        reading->is_cut = true;
        reading->stop = 0; /* Nobody knows where the next one is. */
    }
    /* The NUL of a full page is not the string's own. */
    bool goes_on = length == PAGE_BYTES && !is_missing;
    if (goes_on)
        length--;
    if (!reading->is_inside) {
        reading->is_skipped = reading->is_env && !is_variable_asked_for(which, end);
        if (!reading->is_skipped && end < reading->limit)
            reading->count++;
    }
    reading->is_inside = goes_on;
    reading->address = address + length;
    if (reading->is_skipped)
        return true;
    if (end + length <= reading->limit) {
        reading->end = end + length;
        return true;
    }
    __u32 last = reading->limit - 1;
    if (end <= last && last < TAILS_MAX)
        record->bytes[last] = '\0';
    reading->end = reading->limit;
    reading->is_cut = true;
    return false;
}

__noinline int read_strings(__u32 which) {
    union record *record = find_record(which);
    volatile struct reading *reading = bpf_map_lookup_elem(&readings, &which);

    if (!record || !reading || (ignore_failed && !env_names[0]))
        return 0;
    for (int i = 0; i < PIECES_PER_CALL; i++) {
        if ((!reading->is_inside && !find_string(reading)) || !read_piece(which, record, reading)) {
            reading->is_done = true;
            break;
        }
    }
    return 0;
}

/* Reads strings to the end of the record, in `room` bytes. Returns how that went, or NULL. */
static __always_inline const struct reading *append_strings(__u32 which, __u64 end, __u32 room,
                                                            struct reading start) {
    volatile struct reading *reading = bpf_map_lookup_elem(&readings, &which);
    if (!reading)
        return NULL;
    *reading = start;
    reading->end = end;
    reading->limit = end + room;
    for (int i = 0; i < CALLS_MAX && !reading->is_done; i++)
        read_strings(which);
    if (!reading->is_done)
        reading->is_cut = true;
    return (const struct reading *)reading;
}

/* The variables asked for, of an environment that lies in one area, or of a vector of pointers. */
static __always_inline __u64 append_env(__u32 which, union record *record, __u64 end, struct reading start) {
    struct event *event = &record->event;

    end = forget(record, end);
    if (end > TEXTS_MAX)
        return end;
    start.is_env = true;
    const struct reading *done = append_strings(which, end, ENV_MAX, start);
    if (!done)
        return end;
    event->env.offset = end;
    event->env.size = done->end - end;
    event->env_truncated = done->is_cut;
    return done->end;
}

/* The argument vector of an exec that failed. */
static __always_inline __u64 append_user_args(__u32 which, union record *record, __u64 end,
                                              struct reading start) {
    struct event *event = &record->event;

    end = forget(record, end);
    if (end > TEXTS_MAX + ENV_MAX)
        return end;
    const struct reading *done = append_strings(which, end, max_args, start);
    if (!done)
        return end;
    event->argv.offset = end;
    event->argv.size = done->end - end;
    event->args_count = done->count;
    event->args_truncated = done->is_cut;
    end = done->end;
    event->args_size = event->argv.size;
    return end;
}

#endif

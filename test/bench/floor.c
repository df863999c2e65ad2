/*
 * The C floor: what trace_exec costs at the least. Its own eBPF program, a ring drained every 20 ms, and for
 * each exec the JSON of `ig run trace_exec --host -o json`, byte for byte where nothing has to be escaped;
 * all of it fixed at compile time, and nothing checked. ig is measured against it.
 *
 *   floor trace_exec.bpf.o      until SIGINT; "attached" and "N lost" go to standard error
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <grp.h>
#include <linux/types.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "../../gadgets/trace_exec/event.h"

#define DRAIN_EVERY_US 20000
#define OUTPUT_BYTES (1 << 20)
/* What the longest event takes: 64 KiB of texts, each byte of which may become six. */
#define EVENT_BYTES (1 << 19)
/* The default of --max-args. */
#define MAX_ARGS 32768
#define NS_PER_SECOND 1000000000ULL
/* Of a flag. */
#define NOT_KNOWN 255

static char output[OUTPUT_BYTES];
static char *end = output;
/* From the clock of the events to the one of the wall. */
static __u64 boot_ns;
static volatile sig_atomic_t stopping;

static void stop(int signal) {
    (void)signal;
    stopping = 1;
}

static void flush(void) {
    for (char *at = output; at < end;) {
        ssize_t written = write(STDOUT_FILENO, at, end - at);
        if (written < 0)
            exit(1);
        at += written;
    }
    end = output;
}

#define put(text) put_bytes(text, sizeof(text) - 1)

static inline void put_bytes(const char *bytes, size_t size) {
    memcpy(end, bytes, size);
    end += size;
}

static inline void put_number(__u64 number) {
    char digits[20], *at = digits + sizeof(digits);

    for (; number >= 10; number /= 10)
        *--at = '0' + number % 10;
    *--at = '0' + number;
    put_bytes(at, digits + sizeof(digits) - at);
}

static inline void put_escaped(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        unsigned char c = text[i];
        if (c == '"' || c == '\\') {
            *end++ = '\\';
            *end++ = c;
        } else if (c < 0x20) {
            end += sprintf(end, "\\u%04x", c);
        } else {
            *end++ = c;
        }
    }
}

static inline void put_text(const char *text, size_t size) {
    *end++ = '"';
    put_escaped(text, size);
    *end++ = '"';
}

static inline void put_flag(const char *name, size_t size, __u8 flag) {
    if (flag == NOT_KNOWN)
        return;
    put_bytes(name, size);
    if (flag)
        put("true");
    else
        put("false");
}

#define PUT_FLAG(member)                                                                                     \
    put_flag(",\"" #member "\":", sizeof(",\"" #member "\":") - 1, *(__u8 *)&event->member)
#define PUT_NUMBER(member) (put(",\"" #member "\":"), put_number(event->member))
#define PUT_KNOWN(member, unknown) (event->member == (unknown) ? (void)0 : PUT_NUMBER(member))

/* The date and time of day to the second, made anew only when the second is another. */
static void put_time(__u64 ns) {
    static __u64 last = -1;
    static char text[sizeof("2026-01-01T00:00:00.")];
    __u64 seconds = ns / NS_PER_SECOND, rest = ns % NS_PER_SECOND;

    if (seconds != last) {
        time_t time = last = seconds;
        strftime(text, sizeof(text), "%FT%T.", gmtime(&time));
    }
    put_bytes(text, sizeof(text) - 1);
    for (int i = 8; i >= 0; i--, rest /= 10)
        end[i] = '0' + rest % 10;
    end += 9;
    *end++ = 'Z';
}

static void put_user(gadget_uid uid) {
    static gadget_uid last = -1;
    static const char *name = "";

    if (uid != last) {
        struct passwd *user = getpwuid(last = uid);
        name = user ? strdup(user->pw_name) : "";
    }
    put_text(name, strlen(name));
}

static void put_group(gadget_gid gid) {
    static gadget_gid last = -1;
    static const char *name = "";

    if (gid != last) {
        struct group *group = getgrgid(last = gid);
        name = group ? strdup(group->gr_name) : "";
    }
    put_text(name, strlen(name));
}

/* A word of `args`, in quotes if it has other than letters, digits and what of the rest means nothing to a
 * shell. */
static void put_word(const char *word, size_t size) {
    bool plain = size > 0;

    for (size_t i = 0; i < size; i++) {
        unsigned char c = word[i];
        plain &= ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '+' && c <= ':') || c == '%' || c == '=' ||
                 c == '@' || c == '_';
    }
    if (!plain)
        *end++ = '\'';
    put_escaped(word, size);
    if (!plain)
        *end++ = '\'';
}

static void put_arguments(const char *argv, size_t size) {
    put("{\"args\":\"");
    for (size_t at = 0; at < size; at += strlen(argv + at) + 1) {
        if (at > 0)
            *end++ = ' ';
        put_word(argv + at, strlen(argv + at));
    }
    *end++ = '"';
}

static void put_list(const char *list, size_t size) {
    *end++ = '[';
    for (size_t at = 0; at < size; at += strlen(list + at) + 1) {
        if (at > 0)
            *end++ = ',';
        put_text(list + at, strlen(list + at));
    }
    *end++ = ']';
}

static void put_process(const struct gadget_process *proc) {
    put(",\"proc\":{\"comm\":");
    put_text(proc->comm, strnlen(proc->comm, TASK_COMM_LEN));
    put(",\"creds\":{\"gid\":");
    put_number(proc->creds.gid);
    put(",\"group\":");
    put_group(proc->creds.gid);
    put(",\"uid\":");
    put_number(proc->creds.uid);
    put(",\"user\":");
    put_user(proc->creds.uid);
    put("},\"mntns_id\":");
    put_number(proc->mntns_id);
    put(",\"parent\":{\"comm\":");
    put_text(proc->parent.comm, strnlen(proc->parent.comm, TASK_COMM_LEN));
    put(",\"pid\":");
    put_number(proc->parent.pid);
    put(",\"tid\":");
    put_number(proc->parent.tid);
    put("},\"pid\":");
    put_number(proc->pid);
    put(",\"tid\":");
    put_number(proc->tid);
    *end++ = '}';
}

/* In the order of ig, which is the one of the names. */
static int on_record(void *context, void *data, size_t size) {
    const struct event *event = data;
    const char *bytes = data;
    (void)context, (void)size;

    if (output + sizeof(output) - end < EVENT_BYTES)
        flush();
    put_arguments(bytes + event->argv.offset, event->argv.size);
    PUT_FLAG(args_truncated);
    put(",\"argv\":");
    put_list(bytes + event->argv.offset, event->argv.size);
    PUT_NUMBER(cgroup_id);
    PUT_KNOWN(ctime, 0);
    PUT_FLAG(deleted);
    PUT_NUMBER(dev_major);
    PUT_NUMBER(dev_minor);
    PUT_NUMBER(egid);
    PUT_KNOWN(egid_before, (__u32)-1);
    put(",\"error\":\"\"");
    PUT_NUMBER(error_raw);
    PUT_NUMBER(euid);
    PUT_KNOWN(euid_before, (__u32)-1);
    PUT_KNOWN(fctime, 0);
    PUT_FLAG(file_deleted);
    PUT_FLAG(file_from_rootfs);
    PUT_FLAG(file_in_memory);
    PUT_FLAG(file_newer_than_container);
    put(",\"filename\":");
    put_text(bytes + event->filename.offset, event->filename.size);
    PUT_FLAG(from_rootfs);
    PUT_FLAG(fupper_layer);
    PUT_FLAG(in_memory);
    PUT_KNOWN(inode, 0);
    PUT_NUMBER(loginuid);
    PUT_FLAG(newer_than_container);
    PUT_KNOWN(ns_pid, 0);
    PUT_KNOWN(pctime, 0);
    PUT_KNOWN(pidns_id, 0);
    put_process(&event->proc);
    PUT_FLAG(pupper_layer);
    put(",\"ret\":0");
    PUT_FLAG(secureexec);
    PUT_NUMBER(sessionid);
    put(",\"start_time\":\"");
    put_time(boot_ns + event->start_time_raw);
    put("\",\"timestamp\":\"");
    put_time(boot_ns + event->timestamp_raw);
    put("\",\"timestamp_raw\":");
    put_number(boot_ns + event->timestamp_raw);
    PUT_NUMBER(tty);
    PUT_NUMBER(tty_major);
    PUT_NUMBER(tty_minor);
    PUT_FLAG(upper_layer);
    PUT_KNOWN(userns_id, 0);
    put("}\n");
    return 0;
}

static __u64 now(clockid_t clock) {
    struct timespec time;

    clock_gettime(clock, &time);
    return time.tv_sec * NS_PER_SECOND + time.tv_nsec;
}

/* Opens and loads trace_exec with its parameters as they are by default. */
static struct bpf_object *load(const char *path) {
    struct bpf_object *object = bpf_object__open_file(path, NULL);
    struct bpf_map *records = object ? bpf_object__find_map_by_name(object, "records") : NULL;
    struct bpf_program *program;

    if (!records)
        return NULL;
    bpf_object__for_each_program(program, object)
        bpf_program__set_autoload(program, strcmp(bpf_program__name(program), "ig_sched_exec") == 0);
    bpf_map__set_max_entries(records, bpf_map__max_entries(records) * libbpf_num_possible_cpus());
    bpf_map__set_value_size(records, bpf_map__value_size(records) + MAX_ARGS);
    return bpf_object__load(object) ? NULL : object;
}

static __u64 lost_records(struct bpf_object *object) {
    __u32 key = 0;
    __u64 lost[libbpf_num_possible_cpus()], sum = 0;

    bpf_map_lookup_elem(bpf_object__find_map_fd_by_name(object, "events_lost_samples"), &key, lost);
    for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
        sum += lost[cpu];
    return sum;
}

int main(int argc, char **argv) {
    struct bpf_object *object = argc == 2 ? load(argv[1]) : NULL;

    if (!object)
        return 1;
    struct bpf_program *program = bpf_object__find_program_by_name(object, "ig_sched_exec");
    struct ring_buffer *ring =
        ring_buffer__new(bpf_object__find_map_fd_by_name(object, "events"), on_record, NULL, NULL);
    boot_ns = now(CLOCK_REALTIME) - now(CLOCK_BOOTTIME);
    struct bpf_link *link = ring ? bpf_program__attach(program) : NULL;
    if (!link)
        return 1;
    signal(SIGINT, stop);
    fprintf(stderr, "attached\n");
    while (!stopping) {
        usleep(DRAIN_EVERY_US);
        ring_buffer__consume(ring);
        flush();
    }
    bpf_link__destroy(link);
    ring_buffer__consume(ring);
    flush();
    fprintf(stderr, "%llu lost\n", lost_records(object));
    return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * trace_exec: one record for every program that is executed and, on request, for every attempt that fails.
 *
 * Success is seen at the one tracepoint at which the new program is in place, sched_process_exec. Failure
 * takes the system call's entry, where the arguments are, and its exit, where the result is; these four
 * programs are loaded only if failures are asked for (gadget.yaml, programs.*.enabledBy).
 */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <gadget/buffer.h>
#include <gadget/common.h>
#include <gadget/filesystem.h>
#include <gadget/filter.h>
#include <gadget/macros.h>
#include <gadget/types.h>

/* Largest record, the largest value that a per-CPU map takes (PCPU_MIN_UNIT_SIZE); a power of two. */
#define RECORD_MAX 32768
#define PAGE_BYTES 4096
/* Arguments read of an attempt that failed, and the bytes of each. */
#define FAILED_ARGS_MAX 256
#define FAILED_ARG_BYTES 4096

#define AT_FDCWD -100
#define UNDEFINED 255
#define NO_LOGINUID ((__u32)-1)

/* A flag may also be 255: not known. */
struct event {
    gadget_timestamp timestamp_raw;
    struct gadget_process proc;
    gadget_uid loginuid;
    __u32 sessionid;
    gadget_errno error_raw;
    __u32 args_count;
    __s32 tty;
    __u32 tty_major;
    __u32 tty_minor;
    bool from_rootfs;
    bool file_from_rootfs;
    bool upper_layer;
    bool fupper_layer;
    bool pupper_layer;
    bool args_truncated;
    __u8 __padding[2];
    __u32 args_size;
    __u32 dev_major;
    __u32 dev_minor;
    __u64 inode;
    __u64 ctime;
    __u64 fctime;
    __u64 pctime;
    __u64 cgroup_id;
    gadget_tail_strings argv;
    gadget_tail_string filename;
    gadget_tail_string cwd;
    gadget_tail_string file;
    gadget_tail_string exepath;
    gadget_tail_string parent_exepath;
};

const volatile bool ignore_failed = true;
GADGET_PARAM(ignore_failed)

const volatile bool paths = false;
GADGET_PARAM(paths)

GADGET_TRACER_MAP(events, 4 * 1024 * 1024)
GADGET_TRACER(exec, events, event)

/* The event, then the values of any length. */
union record {
    struct event event;
    char bytes[RECORD_MAX];
};

enum {
    RECORD_OF_SUCCESS,
    RECORD_OF_FAILURE,
    RECORDS,
};

/* Where records are built; success and failure apart, as on some kernels one can be preempted by the other.
 */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, RECORDS);
    __type(key, __u32);
    __type(value, union record);
} records SEC(".maps");

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

static __always_inline void set_undefined(bool *flag) {
    *(__u8 *)flag = UNDEFINED;
}

/* A record with what success and failure have in common; its tail is empty. */
static __always_inline union record *new_record(__u32 which, struct task_struct *task) {
    union record *record = bpf_map_lookup_elem(&records, &which);
    if (!record)
        return NULL;
    struct event *event = &record->event;

    __builtin_memset(event, 0, sizeof(*event));
    event->timestamp_raw = bpf_ktime_get_boot_ns();
    event->cgroup_id = bpf_get_current_cgroup_id();
    gadget_process_populate(&event->proc);

    event->loginuid = NO_LOGINUID;
    if (bpf_core_field_exists(task->loginuid))
        event->loginuid = BPF_CORE_READ(task, loginuid.val);
    if (bpf_core_field_exists(task->sessionid))
        event->sessionid = BPF_CORE_READ(task, sessionid);

    struct tty_struct *tty = BPF_CORE_READ(task, signal, tty);
    if (tty) {
        struct tty_driver *driver = BPF_CORE_READ(tty, driver);
        event->tty = BPF_CORE_READ(tty, index);
        event->tty_major = BPF_CORE_READ(driver, major);
        event->tty_minor = BPF_CORE_READ(driver, minor_start) + event->tty;
    }

    set_undefined(&event->from_rootfs);
    set_undefined(&event->file_from_rootfs);
    set_undefined(&event->upper_layer);
    set_undefined(&event->fupper_layer);
    set_undefined(&event->pupper_layer);
    return record;
}

/* The file that was to be executed. */
static __always_inline void describe_file(struct event *event, struct file *file, struct task_struct *task) {
    struct inode *inode = BPF_CORE_READ(file, f_inode);
    dev_t device = BPF_CORE_READ(inode, i_sb, s_dev);

    event->dev_major = device >> 20;
    event->dev_minor = device & ((1 << 20) - 1);
    event->inode = BPF_CORE_READ(inode, i_ino);
    event->fctime = gadget_inode_ctime(inode);
    event->fupper_layer = gadget_inode_in_upper_layer(inode);
    event->file_from_rootfs = gadget_file_on_rootfs(file, task);
}

/* The program now running, and the parent's. */
static __always_inline void describe_exes(struct event *event, struct file *exe, struct file *parent_exe,
                                          struct task_struct *task) {
    if (exe) {
        struct inode *inode = BPF_CORE_READ(exe, f_inode);
        event->ctime = gadget_inode_ctime(inode);
        event->upper_layer = gadget_inode_in_upper_layer(inode);
        event->from_rootfs = gadget_file_on_rootfs(exe, task);
    }
    if (parent_exe) {
        struct inode *inode = BPF_CORE_READ(parent_exe, f_inode);
        event->pctime = gadget_inode_ctime(inode);
        event->pupper_layer = gadget_inode_in_upper_layer(inode);
    }
}

/*
 * The same number, by a detour through the record (args_size is filled in last), so that the verifier knows
 * nothing of it. It then takes programs that differ only in how long something was for the same, instead of
 * checking what follows once for each; and the check of bounds that must come next is seen on old kernels
 * too, which forget what they knew of numbers kept on the stack.
 */
static __always_inline __u64 forget(union record *record, __u64 number) {
    volatile __u32 *place = &record->event.args_size;
    *place = number;
    return *place;
}

/* The functions below put something at `end` of the record and return the new end. */

static __always_inline __u64 append_path(union record *record, __u64 end, gadget_tail_string *place,
                                         const struct path *path, struct task_struct *task) {
    __u64 start = gadget_path_start(path, task);
    struct gadget_path_buffer *buffer = gadget_path_buffer();

    end = forget(record, end);
    if (!buffer || start >= GADGET_LONG_PATH_MAX - 1 || end > RECORD_MAX - GADGET_LONG_PATH_MAX)
        return end;
    __u64 size = (GADGET_LONG_PATH_MAX - 1 - start) & (GADGET_LONG_PATH_MAX - 1);
    if (bpf_probe_read_kernel(&record->bytes[end], size, &buffer->bytes[start]))
        return end;
    place->offset = end;
    place->size = size;
    return end + size;
}

static __always_inline __u64 append_paths(union record *record, __u64 end, struct file *file,
                                          struct file *exe, struct file *parent_exe,
                                          struct task_struct *task) {
    struct event *event = &record->event;
    struct fs_struct *fs = BPF_CORE_READ(task, fs);

    end = append_path(record, end, &event->cwd, &fs->pwd, task);
    if (file)
        end = append_path(record, end, &event->file, &file->f_path, task);
    if (exe)
        end = append_path(record, end, &event->exepath, &exe->f_path, task);
    if (parent_exe)
        end = append_path(record, end, &event->parent_exepath, &parent_exe->f_path,
                          BPF_CORE_READ(task, real_parent));
    return end;
}

/* The kernel's own copy of the path given. */
static __always_inline __u64 append_filename(union record *record, __u64 end, const char *filename) {
    if (end > RECORD_MAX - GADGET_LONG_PATH_MAX)
        return end;
    long length = bpf_probe_read_kernel_str(&record->bytes[end], GADGET_LONG_PATH_MAX, filename);
    if (length <= 1)
        return end;
    record->event.filename.offset = end;
    record->event.filename.size = length - 1;
    return end + length - 1;
}

/* Bytes of arguments that may follow a record of `end` bytes: a constant each, for the verifier. */
static __always_inline __u64 room_for_args(__u64 end) {
    if (end <= 2048)
        return RECORD_MAX - 2048;
    if (end <= 8192)
        return RECORD_MAX - 8192;
    return end <= 20736 ? RECORD_MAX - 20736 : 0;
}

/*
 * Reads up to the first page that is not there; the number of bytes read. That number is kept in the record,
 * as the verifier then knows nothing of it and sees all turns of the loop as alike.
 */
static __always_inline __u64 read_args_by_page(union record *record, __u64 end, __u64 size, __u64 address) {
    volatile __u32 *done = &record->event.argv.size;

    *done = 0;
    for (int i = 0; i <= RECORD_MAX / PAGE_BYTES; i++) {
        __u64 from = address + *done;
        __u64 chunk = PAGE_BYTES - (from & (PAGE_BYTES - 1));
        __u64 at = end + *done;
        if (*done >= size)
            break;
        if (chunk > size - *done)
            chunk = size - *done;
        barrier_var(at);
        barrier_var(chunk);
        if (at > RECORD_MAX - PAGE_BYTES || chunk > PAGE_BYTES)
            break;
        if (bpf_probe_read_user(&record->bytes[at], chunk, (void *)from))
            break;
        *done += chunk;
    }
    return *done;
}

/* The argument vector of a program in place: one area of NUL-terminated strings. */
static __always_inline __u64 append_args(union record *record, __u64 end, struct task_struct *task) {
    struct event *event = &record->event;
    __u64 address = BPF_CORE_READ(task, mm, arg_start);
    __u64 whole = BPF_CORE_READ(task, mm, arg_end) - address;

    end = forget(record, end);
    __u64 size = room_for_args(end);
    if (whole < size)
        size = whole;
    if (size > 0 && bpf_probe_read_user(&record->bytes[end], size, (void *)address))
        size = read_args_by_page(record, forget(record, end), forget(record, size), address);
    event->argv.offset = end;
    event->argv.size = size;
    event->args_size = whole;
    event->args_truncated = size < whole;
    /* The list stays well-formed: the last string ends where it was cut. */
    if (size > 0 && size < whole)
        record->bytes[(end + size - 1) & (RECORD_MAX - 1)] = '\0';
    return end + size;
}

static __always_inline int send(void *ctx, union record *record, __u64 end) {
    if (end <= RECORD_MAX)
        gadget_output_buf(ctx, &events, record, end);
    return 0;
}

/*
 * The file that execve was given. For a binary it is the linux_binprm's. An interpreter has taken the
 * script's place there; the script is kept only if its binfmt_misc handler wants it open, otherwise the exec
 * has just released it.
 */
static __always_inline struct file *executed_file(struct linux_binprm *bprm) {
    struct file *executable = BPF_CORE_READ(bprm, executable);
    if (executable)
        return executable;
    if (BPF_CORE_READ(bprm, interp) == BPF_CORE_READ(bprm, filename))
        return BPF_CORE_READ(bprm, file);
    return (struct file *)gadget_pending_exec_file(false);
}

/* Tells the system call's exit that this exec is done, also under the thread id that it had before. */
static __always_inline void mark_success(pid_t old_tid) {
    __u64 key = bpf_get_current_pid_tgid();
    __u64 old_key = (key & 0xffffffff00000000ULL) | (__u32)old_tid;
    struct attempt attempt = {.has_succeeded = true};

    if (old_key != key)
        bpf_map_delete_elem(&exec_map, &old_key);
    bpf_map_update_elem(&exec_map, &key, &attempt, BPF_ANY);
}

/* Arguments: struct task_struct *, pid_t old_pid, struct linux_binprm * (include/trace/events/sched.h). */
SEC("raw_tp/sched_process_exec")
int ig_sched_exec(struct bpf_raw_tracepoint_args *ctx) {
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct linux_binprm *bprm = (struct linux_binprm *)ctx->args[2];
    __u64 end = sizeof(struct event);

    if (!ignore_failed)
        mark_success(ctx->args[1]);
    if (gadget_should_discard_data_current())
        return 0;
    union record *record = new_record(RECORD_OF_SUCCESS, task);
    if (!record)
        return 0;

    struct file *file = executed_file(bprm);
    struct file *exe = BPF_CORE_READ(task, mm, exe_file);
    struct file *parent_exe = BPF_CORE_READ(task, real_parent, mm, exe_file);
    if (file)
        describe_file(&record->event, file, task);
    describe_exes(&record->event, exe, parent_exe, task);
    record->event.args_count = BPF_CORE_READ(bprm, argc);

    end = append_filename(record, end, BPF_CORE_READ(bprm, filename));
    if (paths)
        end = append_paths(record, end, file, exe, parent_exe, task);
    end = append_args(record, end, task);
    return send(ctx, record, end);
}

static __always_inline int begin_attempt(__u64 filename, __u64 argv, int dirfd) {
    struct attempt attempt = {.filename = filename, .argv = argv, .dirfd = dirfd};
    __u64 key = bpf_get_current_pid_tgid();

    if (ignore_failed || gadget_should_discard_data_current())
        return 0;
    bpf_map_update_elem(&exec_map, &key, &attempt, BPF_ANY);
    return 0;
}

SEC("tracepoint/syscalls/sys_enter_execve")
int ig_execve_e(struct trace_event_raw_sys_enter *ctx) {
    return begin_attempt(ctx->args[0], ctx->args[1], AT_FDCWD);
}

SEC("tracepoint/syscalls/sys_enter_execveat")
int ig_execveat_e(struct trace_event_raw_sys_enter *ctx) {
    return begin_attempt(ctx->args[1], ctx->args[2], ctx->args[0]);
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

    end = append_user_filename(record, end, attempt);
    if (paths)
        end = append_paths(record, end, file, BPF_CORE_READ(task, mm, exe_file),
                           BPF_CORE_READ(task, real_parent, mm, exe_file), task);
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

SEC("tracepoint/syscalls/sys_exit_execve")
int ig_execve_x(struct trace_event_raw_sys_exit *ctx) {
    return end_attempt(ctx, ctx->ret);
}

SEC("tracepoint/syscalls/sys_exit_execveat")
int ig_execveat_x(struct trace_event_raw_sys_exit *ctx) {
    return end_attempt(ctx, ctx->ret);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

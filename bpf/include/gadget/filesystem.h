/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * Files: full paths, times, the overlay's upper layer, and the files that a system call is about to release.
 *
 * The functions that loop are global ones, which the verifier checks once, however often they are called;
 * they take and return kernel addresses as numbers, as kernels before 5.12 allow global functions no other
 * types.
 */
#ifndef __GADGET_FILESYSTEM_H
#define __GADGET_FILESYSTEM_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

/* Longest path, as for system calls; with the NUL. */
#define GADGET_LONG_PATH_MAX 4096
/* A common size for paths in fixed-size records. */
#define GADGET_PATH_MAX 512

/*
 * Names and mounts that one path may have: steps of one climb, and climbs. That is more names than have room
 * in a path, and mounts on top of each other by the thousand.
 */
#define GADGET_PATH_STEPS 64
#define GADGET_PATH_CLIMBS 64

#define GADGET_OVERLAYFS_MAGIC 0x794c7630
#define GADGET_TMPFS_MAGIC 0x01021994
#define GADGET_RAMFS_MAGIC 0x858458f6
#define GADGET_HUGETLBFS_MAGIC 0x958458f6
/* FMODE_EXEC, include/linux/fs.h: set in f_flags of files opened to be executed. */
#define GADGET_OPENED_TO_EXEC 0x20
#define GADGET_S_IFMT 0170000
#define GADGET_S_IFREG 0100000

/*
 * A path is built from its end, which stands at bytes[GADGET_LONG_PATH_MAX - 1], a NUL, towards the front.
 * What changes on the way is kept here and not in variables, so that the verifier knows nothing of it and
 * sees all turns of the loop as alike. The second half of `bytes` is never written; it lets the verifier see
 * that names do not run over.
 */
struct gadget_path_buffer {
    volatile __u32 start;
    /* Where the climb is, a struct dentry and a struct vfsmount, and where it is to end. */
    __u64 dentry;
    __u64 mount;
    __u64 root_dentry;
    __u64 root_mount;
    char bytes[2 * GADGET_LONG_PATH_MAX];
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct gadget_path_buffer);
} gadget_path_buffers SEC(".maps");

static const char gadget_deleted[] = " (deleted)";

static __always_inline struct gadget_path_buffer *gadget_path_buffer(void) {
    __u32 zero = 0;
    return bpf_map_lookup_elem(&gadget_path_buffers, &zero);
}

/* Puts `length` bytes in front of what is there; false if there is no room. A name has 255 at most. */
static __always_inline bool gadget_path_prepend(struct gadget_path_buffer *buffer, const void *text,
                                                __u32 length) {
    __u32 start = buffer->start;
    if (length > 255 || length > start)
        return false;
    start = (start - length) & (GADGET_LONG_PATH_MAX - 1);
    bpf_probe_read_kernel(&buffer->bytes[start], length, text);
    buffer->start = start;
    return true;
}

static __always_inline bool gadget_path_prepend_slash(struct gadget_path_buffer *buffer) {
    __u32 start = buffer->start;
    if (start == 0)
        return false;
    start = (start - 1) & (GADGET_LONG_PATH_MAX - 1);
    buffer->bytes[start] = '/';
    buffer->start = start;
    return true;
}

/* How a climb ended. */
enum {
    GADGET_CLIMB_GOES_ON,
    GADGET_CLIMB_AT_TOP,  /* the root, or where a detached mount ends */
    GADGET_CLIMB_OUTSIDE, /* the file was moved out of the directory that is mounted */
    GADGET_CLIMB_NO_ROOM,
};

/* Changes when the dentry is renamed or moved; odd while that happens. */
static __always_inline __u32 gadget_dentry_version(struct dentry *dentry) {
    return BPF_CORE_READ(dentry, d_seq.seqcount.sequence);
}

/* Whether a mount was moved while its place was read, or is between two places. */
static __always_inline bool gadget_mount_moves(struct mount *mount, struct mount *parent,
                                               struct dentry *mountpoint) {
    if (BPF_CORE_READ(mount, mnt_parent) != parent ||
        BPF_CORE_READ(mountpoint, d_sb) != BPF_CORE_READ(parent, mnt.mnt_sb))
        return true;
    if (parent != mount)
        return false;
    /* What lies on nothing is the root of its namespace, or is in none. */
    struct mnt_namespace *namespace = BPF_CORE_READ(mount, mnt_ns);
    return namespace && BPF_CORE_READ(namespace, root) != mount;
}

/*
 * GADGET_PATH_STEPS names of a dentry and of what it lies in, towards the root, across mounts. A function of
 * its own, called again and again, so that the verifier has few turns of a loop to check.
 *
 * A step is done again if it met a rename, or a mount that is moved: each name and the place it has are of
 * one moment. Of two renames on the way, the later may be seen without the earlier.
 */
__noinline __u64 gadget_path_climb(void) {
    struct gadget_path_buffer *buffer = gadget_path_buffer();
    if (!buffer)
        return GADGET_CLIMB_NO_ROOM;
    struct dentry *dentry = (struct dentry *)buffer->dentry;
    struct vfsmount *vfsmount = (struct vfsmount *)buffer->mount;
    struct dentry *mount_root = BPF_CORE_READ(vfsmount, mnt_root);

    for (int i = 0; i < GADGET_PATH_STEPS; i++) {
        if ((__u64)dentry == buffer->root_dentry && (__u64)vfsmount == buffer->root_mount)
            return GADGET_CLIMB_AT_TOP;
        if (dentry == mount_root) {
            struct mount *mount = (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);
            struct mount *parent_mount = BPF_CORE_READ(mount, mnt_parent);
            struct dentry *mountpoint = BPF_CORE_READ(mount, mnt_mountpoint);
            if (gadget_mount_moves(mount, parent_mount, mountpoint))
                continue;
            if (parent_mount == mount)
                return GADGET_CLIMB_AT_TOP;
            dentry = mountpoint;
            vfsmount = (void *)parent_mount + bpf_core_field_offset(struct mount, mnt);
            mount_root = BPF_CORE_READ(vfsmount, mnt_root);
            continue;
        }
        __u32 version = gadget_dentry_version(dentry);
        __u32 before = buffer->start;
        struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
        bool has_room = gadget_path_prepend(buffer, BPF_CORE_READ(dentry, d_name.name),
                                            BPF_CORE_READ(dentry, d_name.len)) &&
                        gadget_path_prepend_slash(buffer);
        if (version & 1 || gadget_dentry_version(dentry) != version) {
            buffer->start = before;
            continue;
        }
        if (parent == dentry || !has_room) {
            buffer->start = before;
            return parent == dentry ? GADGET_CLIMB_OUTSIDE : GADGET_CLIMB_NO_ROOM;
        }
        dentry = parent;
    }
    buffer->dentry = (__u64)dentry;
    buffer->mount = (__u64)vfsmount;
    return GADGET_CLIMB_GOES_ON;
}

/*
 * Builds the path of a dentry on a mount, as a process with this root sees it, in this CPU's path buffer.
 * Returns where it starts; its length is GADGET_LONG_PATH_MAX - 1 less that, 0 if there is no path.
 *
 * It is what /proc shows (d_path, fs/d_path.c): " (deleted)" follows the name of a file that was; what lies
 * outside the process's root has its path from the root of the mount namespace, and what lies on a mount that
 * was detached, from there; what was moved out of a directory that is mounted elsewhere, is "/". Only a path
 * of more than 4095 bytes, which /proc does not show, or one that is never found at rest, has lost its
 * beginning: it does not start with a slash.
 */
__noinline __u64 gadget_walk_path(__u64 dentry_address, __u64 mount_address, __u64 root_dentry,
                                  __u64 root_mount) {
    struct dentry *dentry = (struct dentry *)dentry_address;
    struct vfsmount *vfsmount = (struct vfsmount *)mount_address;
    struct gadget_path_buffer *buffer = gadget_path_buffer();
    __u64 outcome = GADGET_CLIMB_GOES_ON;

    if (!buffer)
        return GADGET_LONG_PATH_MAX - 1;
    buffer->start = GADGET_LONG_PATH_MAX - 1;
    buffer->bytes[GADGET_LONG_PATH_MAX - 1] = '\0';
    if (!dentry || !vfsmount)
        return buffer->start;

    bool is_root = BPF_CORE_READ(dentry, d_parent) == dentry;
    bool is_nameless =
        BPF_CORE_READ(dentry, d_op, d_dname) && (!is_root || BPF_CORE_READ(vfsmount, mnt_root) != dentry);
    if (is_nameless || (!is_root && !BPF_CORE_READ(dentry, d_hash.pprev)))
        gadget_path_prepend(buffer, gadget_deleted, sizeof(gadget_deleted) - 1);
    __u32 end = buffer->start;
    if (is_nameless) {
        /* memfd and the like: a name outside any directory */
        gadget_path_prepend(buffer, BPF_CORE_READ(dentry, d_name.name), BPF_CORE_READ(dentry, d_name.len));
        gadget_path_prepend_slash(buffer);
        return buffer->start;
    }

    buffer->dentry = dentry_address;
    buffer->mount = mount_address;
    buffer->root_dentry = root_dentry;
    buffer->root_mount = root_mount;
    for (int i = 0; i < GADGET_PATH_CLIMBS && outcome == GADGET_CLIMB_GOES_ON; i++)
        outcome = gadget_path_climb();
    if (outcome == GADGET_CLIMB_AT_TOP || outcome == GADGET_CLIMB_OUTSIDE) {
        if (outcome == GADGET_CLIMB_OUTSIDE)
            buffer->start = end;
        if (buffer->start == end)
            gadget_path_prepend_slash(buffer);
    } else {
        /* Cut short: must not look whole. */
        buffer->start += buffer->start < end;
    }
    return buffer->start;
}

/* gadget_walk_path() of `path`, as `task` sees it. */
static __always_inline __u32 gadget_path_start(const struct path *path, struct task_struct *task) {
    struct fs_struct *fs = BPF_CORE_READ(task, fs);
    return gadget_walk_path((__u64)BPF_CORE_READ(path, dentry), (__u64)BPF_CORE_READ(path, mnt),
                            (__u64)BPF_CORE_READ(fs, root.dentry), (__u64)BPF_CORE_READ(fs, root.mnt));
}

/* The path of `path` as the current task sees it, NUL-terminated, until the next call on this CPU; or NULL.
 */
static __always_inline void *get_path_str(struct path *path) {
    __u32 start = gadget_path_start(path, (struct task_struct *)bpf_get_current_task());
    struct gadget_path_buffer *buffer = gadget_path_buffer();
    return buffer ? &buffer->bytes[start & (GADGET_LONG_PATH_MAX - 1)] : NULL;
}

/* The open file behind a descriptor of the current task, or NULL. */
static __always_inline struct file *get_struct_file_for_fd(int fd) {
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct fdtable *table = BPF_CORE_READ(task, files, fdt);
    struct file **files = BPF_CORE_READ(table, fd);
    struct file *file = NULL;

    if (fd >= 0 && (__u32)fd < BPF_CORE_READ(table, max_fds))
        bpf_probe_read_kernel(&file, sizeof(file), &files[fd]);
    return file;
}

/* Copies the path of an open file into `buf`; its length with the NUL, or a negative errno. */
static __always_inline long read_full_path_of_open_file_fd(int fd, char *buf, __u64 size) {
    struct file *file = get_struct_file_for_fd(fd);
    if (!file)
        return -1;
    char *path = get_path_str(&file->f_path);
    return path ? bpf_probe_read_kernel_str(buf, size, path) : -1;
}

/* Time of the last change of the inode, in nanoseconds since the epoch. */
static __always_inline __u64 gadget_inode_ctime(struct inode *inode) {
    struct inode___before_6_11 *older = (void *)inode;
    struct inode___before_6_6 *oldest = (void *)inode;
    __u64 seconds, nanoseconds;

    if (bpf_core_field_exists(inode->i_ctime_sec)) {
        seconds = BPF_CORE_READ(inode, i_ctime_sec);
        /* Since 6.13 the top bit says whether someone asked: I_CTIME_QUERIED, include/linux/fs.h. */
        nanoseconds = BPF_CORE_READ(inode, i_ctime_nsec) & 0x7fffffff;
    } else if (bpf_core_field_exists(older->__i_ctime)) {
        seconds = BPF_CORE_READ(older, __i_ctime.tv_sec);
        nanoseconds = BPF_CORE_READ(older, __i_ctime.tv_nsec);
    } else {
        seconds = BPF_CORE_READ(oldest, i_ctime.tv_sec);
        nanoseconds = BPF_CORE_READ(oldest, i_ctime.tv_nsec);
    }
    return seconds * 1000000000ULL + nanoseconds;
}

/*
 * Whether the inode is one of an overlay and has its data or metadata in the upper layer. struct ovl_inode is
 * in the BTF of no kernel that has overlayfs as a module, so its layout is taken from
 * fs/overlayfs/ovl_entry.h: the upper dentry stands right behind the embedded struct inode.
 */
static __always_inline bool gadget_inode_in_upper_layer(struct inode *inode) {
    void *upper_dentry = NULL;

    if (BPF_CORE_READ(inode, i_sb, s_magic) != GADGET_OVERLAYFS_MAGIC)
        return false;
    bpf_probe_read_kernel(&upper_dentry, sizeof(upper_dentry),
                          (void *)inode + bpf_core_type_size(struct inode));
    return upper_dentry != NULL;
}

/* Whether the file has lost the name by which it was opened, or all of them; or never had one, as memfd. */
static __always_inline bool gadget_file_is_deleted(struct file *file) {
    struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);

    if (!BPF_CORE_READ(dentry, d_hash.pprev) && BPF_CORE_READ(dentry, d_parent) != dentry)
        return true;
    return BPF_CORE_READ(file, f_inode, i_nlink) == 0;
}

/* Whether what the file system holds lies in memory only. */
static __always_inline bool gadget_file_system_is_memory(struct file *file) {
    unsigned long magic = BPF_CORE_READ(file, f_inode, i_sb, s_magic);
    return magic == GADGET_TMPFS_MAGIC || magic == GADGET_RAMFS_MAGIC || magic == GADGET_HUGETLBFS_MAGIC;
}

/* Whether the file lies on the mount that is the root of the task's file system. */
static __always_inline bool gadget_file_on_rootfs(struct file *file, struct task_struct *task) {
    return BPF_CORE_READ(file, f_path.mnt) == BPF_CORE_READ(task, fs, root.mnt);
}

static __always_inline __u32 gadget_task_work_offset(void) {
    if (bpf_core_field_exists(struct file, f_task_work))
        return bpf_core_field_offset(struct file, f_task_work);
    if (bpf_core_field_exists(struct file___before_6_5, f_rcuhead))
        return bpf_core_field_offset(struct file___before_6_5, f_rcuhead);
    return bpf_core_field_offset(struct file___before_6_0, f_u.fu_rcuhead);
}

#define GADGET_PENDING_WORKS 160

static __always_inline bool gadget_is_regular_file(struct file *file) {
    struct inode *inode = BPF_CORE_READ(file, f_inode);
    return inode && BPF_CORE_READ(file, f_path.dentry, d_inode) == inode &&
           (BPF_CORE_READ(inode, i_mode) & GADGET_S_IFMT) == GADGET_S_IFREG;
}

/*
 * The file opened to be executed that the current task released first in this system call, or 0.
 *
 * When the last reference to a file goes (fput, fs/file_table.c), the file lives on, in
 * task_struct.task_works, until the task returns to user space. This is where a script is found after its
 * interpreter took its place in the linux_binprm, and what was executed after an exec failed; no probe in the
 * middle of exec is needed. The list's newest work comes first. Works of other kinds are told apart by what a
 * file must look like.
 *
 * With `only`, 0 if there are several; in either case 0 if the list is too long to be sure.
 */
__noinline __u64 gadget_pending_exec_file(__u32 only) {
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct callback_head *work = BPF_CORE_READ(task, task_works);
    struct file *found = NULL, *earlier = NULL;

    for (int i = 0; i < GADGET_PENDING_WORKS && work; i++) {
        struct file *file = (void *)work - gadget_task_work_offset();
        /* Older kernels also put here what they could not open, or opened anew: files without an inode. */
        if (BPF_CORE_READ(file, f_flags) & GADGET_OPENED_TO_EXEC && gadget_is_regular_file(file)) {
            earlier = found;
            found = file;
        }
        work = BPF_CORE_READ(work, next);
    }
    if (work || !found || (only && earlier))
        return 0;
    return (__u64)found;
}

#endif

/*
 * Executes itself in places whose paths are not easy to tell, and tells them as the process itself sees
 * them:
 *
 *   paths DIRECTORY DEED…
 *
 * Each deed is done by a process with a mount namespace of its own, in which DIRECTORY is an empty file
 * system, gone with the namespace. First it tries to execute what is not there, then what the deed is
 * about. It prints facts, each as three strings with a NUL behind: deed, name, value. Names of facts are
 *
 *   pid     of the process that executes
 *   before  cwd and exe of the caller, at the attempt that fails
 *   file    what is executed
 *   cwd     working directory, as the new program sees it; of an exec that fails, as the caller does
 *   exe     the program, in the same way
 *   parent  the program of the parent, as the parent sees it
 *   built   the path of what was executed, where no link can tell it
 *
 * Links longer than 4095 bytes, which the kernel does not tell, are left out.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A descriptor of /proc, so that it needs to be mounted nowhere in particular; kept over exec. */
#define PROC 9

static const char *deed;
static char *const environment[] = {NULL};

#define CHECK(ok)                                                                                            \
    do {                                                                                                     \
        if (!(ok)) {                                                                                         \
            dprintf(2, "paths: %s: %s: %s\n", deed ? deed : "start", #ok, strerror(errno));                  \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

static void tell_bytes(const char *name, const char *value, size_t size) {
    static char fact[2 * PATH_MAX + 100];
    size_t length = 0;
    length = stpcpy(fact, deed) - fact + 1;
    length = stpcpy(fact + length, name) - fact + 1;
    memcpy(fact + length, value, size);
    length += size;
    fact[length++] = '\0';
    CHECK(write(1, fact, length) == (ssize_t)length);
}

static void tell(const char *name, const char *value) {
    tell_bytes(name, value, strlen(value));
}

/* What a link below /proc says. */
static void tell_link(const char *name, const char *link) {
    static char value[2 * PATH_MAX];
    ssize_t size = readlinkat(PROC, link, value, sizeof(value));
    CHECK(size >= 0 || errno == ENAMETOOLONG);
    if (size >= 0)
        tell_bytes(name, value, size);
}

static void tell_file(int fd) {
    char link[40];
    sprintf(link, "thread-self/fd/%d", fd);
    tell_link("file", link);
}

static void tell_self(void) {
    char pid[20];
    sprintf(pid, "%d", getpid());
    tell("pid", pid);
    tell_link("cwd", "thread-self/cwd");
    tell_link("exe", "thread-self/exe");
}

static char *const *arguments(void) {
    static char *list[4];
    list[0] = "paths";
    list[1] = "--tell";
    list[2] = (char *)deed;
    return list;
}

/* An attempt that fails, wherever this is. */
static void attempt(void) {
    tell_link("caller.cwd", "thread-self/cwd");
    tell_link("caller.exe", "thread-self/exe");
    execve("not there", arguments(), environment);
    CHECK(errno == ENOENT);
}

static void execute_fd(int fd) {
    attempt();
    tell_file(fd);
    /* glibc has no execveat before 2.34. */
    syscall(SYS_execveat, fd, "", arguments(), environment, AT_EMPTY_PATH);
    CHECK(errno == ENOEXEC);
    tell_self();
    exit(0);
}

static void execute(const char *path) {
    int fd = open(path, O_PATH | O_CLOEXEC);
    CHECK(fd >= 0);
    attempt();
    tell_file(fd);
    execve(path, arguments(), environment);
    CHECK(errno == ENOEXEC);
    tell_self();
    exit(0);
}

static int open_path(const char *path) {
    int fd = open(path, O_PATH | O_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

static void enter(const char *path) {
    CHECK(!mkdir(path, 0755) || errno == EEXIST);
    CHECK(!chdir(path));
}

static void make(const char *path) {
    CHECK(!mkdir(path, 0755));
}

static void write_file(const char *path, const char *content) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    CHECK(fd >= 0 && write(fd, content, strlen(content)) == (ssize_t)strlen(content));
    CHECK(!close(fd));
}

static void fill(int fd) {
    int self = openat(PROC, "self/exe", O_RDONLY | O_CLOEXEC);
    CHECK(self >= 0);
    while (sendfile(fd, self, NULL, 1 << 20) > 0)
        ;
    close(self);
}

/* Puts this program there. */
static void put(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    CHECK(fd >= 0);
    fill(fd);
    CHECK(!close(fd));
}

static void bind(const char *from, const char *to) {
    CHECK(!mount(from, to, NULL, MS_BIND, NULL));
}

static void mount_tmpfs(const char *path) {
    CHECK(!mount("tmpfs", path, "tmpfs", 0, NULL));
}

static void mount_overlay(const char *path, const char *options) {
    CHECK(!mount("overlay", path, "overlay", 0, options));
}

/* --- Deeds; each starts in the empty DIRECTORY, with a copy of this program in it. --- */

static const char *directory;

static void plain(void) {
    execute("./program");
}

static void from_root(void) {
    char path[PATH_MAX];
    sprintf(path, "%s/program", directory);
    CHECK(!chdir("/"));
    execute(path);
}

/* The program's path has `count` names. */
static void nested(int count) {
    static char built[2 * PATH_MAX];
    int program = open_path("program");
    CHECK(!chroot("."));
    for (int i = 0; i < count - 1; i++) {
        enter("d");
        strcpy(built + 2 * i, "/d");
    }
    strcat(built, "/p");
    tell("built", built);
    CHECK(!linkat(program, "", AT_FDCWD, "p", AT_EMPTY_PATH));
    execute("./p");
}

/* The program's path has `size` bytes; its directory's 2 fewer. */
static void long_path(int size) {
    static char built[2 * PATH_MAX];
    char name[NAME_MAX + 1];
    int program = open_path("program");
    char *end = built;

    CHECK(!chroot("."));
    for (int rest = size - 2; rest > 0; rest -= strlen(name) + 1) {
        /* The last two share what is left, so that none is empty. */
        int length = rest > 2 * (NAME_MAX + 1) ? NAME_MAX : rest > NAME_MAX + 1 ? rest / 2 - 1 : rest - 1;
        memset(name, 'n', length);
        name[length] = '\0';
        enter(name);
        end += sprintf(end, "/%s", name);
    }
    strcpy(end, "/p");
    CHECK(strlen(built) == (size_t)size);
    tell("built", built);
    CHECK(!linkat(program, "", AT_FDCWD, "p", AT_EMPTY_PATH));
    execute("./p");
}

static void renamed(void) {
    make("a");
    put("a/program");
    int program = open_path("a/program");
    enter("a/cwd");
    CHECK(!rename("../program", "../renamed program"));
    CHECK(!rename("../cwd", "../renamed cwd"));
    CHECK(!rename("../../a", "../../renamed"));
    execute_fd(program);
}

static void deleted(void) {
    int program = open_path("program");
    enter("cwd");
    CHECK(!unlink("../program"));
    CHECK(!rmdir("../cwd"));
    execute_fd(program);
}

static void deleted_and_made_again(void) {
    int program = open_path("program");
    enter("cwd");
    CHECK(!unlink("../program"));
    CHECK(!rmdir("../cwd"));
    put("../program");
    make("../cwd");
    execute_fd(program);
}

static void in_deleted_directory(void) {
    make("a");
    enter("a/cwd");
    int program = open_path("../../program");
    CHECK(!rmdir("../cwd"));
    CHECK(!rmdir("../../a"));
    execute_fd(program);
}

/* The root directory of the process is deleted. */
static void deleted_root(void) {
    int program = open_path("program");
    enter("root");
    CHECK(!rmdir("../root"));
    CHECK(!chroot("."));
    execute_fd(program);
}

/* A file that never had a name. */
static void nameless(void) {
    char link[40];
    int fd = open(".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0755);
    CHECK(fd >= 0);
    fill(fd);
    sprintf(link, "/proc/self/fd/%d", fd);
    int program = open(link, O_RDONLY | O_CLOEXEC);
    CHECK(program >= 0 && !close(fd));
    execute_fd(program);
}

static void memfd(void) {
    int fd = memfd_create("in memory", MFD_CLOEXEC);
    CHECK(fd >= 0);
    fill(fd);
    execute_fd(fd);
}

static void memfd_with_strange_name(void) {
    int fd = memfd_create("a/../b\n\xff (deleted)", MFD_CLOEXEC);
    CHECK(fd >= 0);
    fill(fd);
    execute_fd(fd);
}

static void by_fd_link(void) {
    char link[40];
    sprintf(link, "/proc/self/fd/%d", open_path("program"));
    execute(link);
}

static void by_cwd_link(void) {
    enter("cwd");
    put("program");
    execute("/proc/self/cwd/program");
}

static void by_exe_link(void) {
    execute("/proc/self/exe");
}

static void symbolic_links(void) {
    make("a");
    make("b");
    put("a/program");
    CHECK(!symlink("../a/program", "b/link") && !symlink("b", "c"));
    enter("c");
    execute("../c/link");
}

static void named(const char *name) {
    enter(name);
    put(name);
    execute(name);
}

static void newlines(void) {
    named("\none\ntwo\n");
}
static void spaces(void) {
    named("  a  b ");
}
static void quotes(void) {
    named("it's \"so\" \\n \\");
}
static void controls(void) {
    named("\x1b[31m\r\t\x07\x7f");
}
static void not_utf8(void) {
    named("\xff\xfe gr\xfc\xdf"
          "e \xc3(");
}
static void utf8(void) {
    named("grüße 🦉 \u202e");
}
static void called_deleted(void) {
    named("program (deleted)");
}
static void name_of_255_bytes(void) {
    char name[NAME_MAX + 1] = "";
    memset(name, 'x', NAME_MAX);
    named(name);
}

static void bound_directory(void) {
    make("a");
    make("b");
    make("a/sub");
    put("a/sub/program");
    bind("a", "b");
    enter("b/sub");
    execute("./program");
}

static void bound_file(void) {
    write_file("over", "");
    bind("program", "over");
    execute("./over");
}

/* Of a directory and a file that are no longer where they were. */
static void bound_and_deleted(void) {
    make("a");
    make("b");
    put("a/program");
    write_file("over", "");
    bind("a", "b");
    bind("a/program", "over");
    CHECK(!unlink("a/program"));
    CHECK(!rmdir("a"));
    enter("b");
    execute("../over");
}

/* The directory has left what is mounted. */
static void moved_out_of_bound(void) {
    make("a");
    make("a/sub");
    make("b");
    put("a/sub/program");
    bind("a", "b");
    enter("b/sub");
    CHECK(!rename("../../a/sub", "../../sub"));
    execute("./program");
}

static void stacked(void) {
    make("a");
    for (int i = 0; i < 250; i++) {
        mount_tmpfs("a");
        make("a/b");
        mount_tmpfs("a/b");
    }
    enter("a/b");
    put("program");
    execute("./program");
}

/* Something is mounted over the cwd. */
static void covered(void) {
    make("a");
    put("a/program");
    enter("a");
    mount_tmpfs("../a");
    execute("./program");
}

static void moved_mount(void) {
    make("a");
    make("b");
    mount_tmpfs("a");
    enter("a/cwd");
    put("program");
    CHECK(!mount("../../a", "../../b", NULL, MS_MOVE, NULL));
    execute("./program");
}

static void detached(void) {
    make("a");
    mount_tmpfs("a");
    enter("a/cwd");
    put("program");
    CHECK(!umount2("../../a", MNT_DETACH));
    execute("./program");
}

static void detached_root(void) {
    make("a");
    mount_tmpfs("a");
    enter("a");
    put("program");
    CHECK(!umount2("../a", MNT_DETACH));
    execute("./program");
}

static void detached_under_another(void) {
    make("a");
    mount_tmpfs("a");
    make("a/b");
    mount_tmpfs("a/b");
    enter("a/b/cwd");
    put("program");
    CHECK(!umount2("../../../a", MNT_DETACH));
    execute("./program");
}

/* A mount that never was in a namespace. */
static void never_attached(void) {
#ifdef SYS_open_tree
    make("a");
    make("a/cwd");
    put("a/cwd/program");
    int tree = syscall(SYS_open_tree, AT_FDCWD, "a", 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC);
    CHECK(tree >= 0 && !fchdir(tree));
    enter("cwd");
#endif
    execute("./program");
}

static void nested_namespaces(void) {
    make("a");
    mount_tmpfs("a");
    enter("a/cwd");
    for (int i = 0; i < 3; i++) {
        CHECK(!unshare(CLONE_NEWNS));
        CHECK(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
        mount_tmpfs(".");
        CHECK(!chdir("../cwd"));
        enter("cwd");
    }
    put("program");
    execute("./program");
}

/* The program is known from a namespace in which it is no longer. */
static void from_another_namespace(void) {
    make("a");
    mount_tmpfs("a");
    put("a/program");
    int program = open_path("a/program");
    CHECK(!unshare(CLONE_NEWNS));
    CHECK(!umount2("a", MNT_DETACH));
    execute_fd(program);
}

static void chrooted(void) {
    make("root");
    make("root/cwd");
    put("root/program");
    CHECK(!chroot("root"));
    CHECK(!chdir("/cwd"));
    execute("/program");
}

static void chrooted_twice(void) {
    make("root");
    make("root/root");
    put("root/root/program");
    CHECK(!chroot("root"));
    CHECK(!chroot("root/root"));
    CHECK(!chdir("/"));
    execute("/program");
}

static void chrooted_to_mount(void) {
    make("root");
    mount_tmpfs("root");
    make("root/mount");
    mount_tmpfs("root/mount");
    put("root/mount/program");
    CHECK(!chroot("root"));
    CHECK(!chdir("/mount"));
    execute("./program");
}

static void outside_of_root(void) {
    make("root");
    enter("cwd");
    put("program");
    CHECK(!chroot("../root"));
    execute("./program");
}

static void pivoted(void) {
    make("root");
    mount_tmpfs("root");
    make("root/cwd");
    make("root/old");
    put("root/cwd/program");
    CHECK(!chdir("root"));
    CHECK(!syscall(SYS_pivot_root, ".", "old"));
    CHECK(!chroot("."));
    CHECK(!umount2("/old", MNT_DETACH));
    CHECK(!chdir("/cwd"));
    execute("./program");
}

static void left_on_old_root(void) {
    make("root");
    mount_tmpfs("root");
    int program = open_path("program");
    int cwd = open_path(".");
    CHECK(!chdir("root"));
    CHECK(!syscall(SYS_pivot_root, ".", "."));
    CHECK(!umount2(".", MNT_DETACH));
    CHECK(!fchdir(cwd));
    execute_fd(program);
}

/* An overlay `to` of the directories lower, upper and work; `lower` has the program. */
static void make_overlay(const char *to) {
    make("lower");
    make("lower/sub");
    put("lower/sub/program");
    make("upper");
    make("work");
    make(to);
    mount_overlay(to, "lowerdir=lower,upperdir=upper,workdir=work");
}

static void overlay(void) {
    make_overlay("merged");
    enter("merged/sub");
    execute("./program");
}

static void overlay_upper(void) {
    make_overlay("merged");
    enter("merged/new");
    put("program");
    execute("./program");
}

static void overlay_in_overlay(void) {
    make_overlay("merged");
    make("upper2");
    make("work2");
    make("merged2");
    mount_overlay("merged2", "lowerdir=merged,upperdir=upper2,workdir=work2");
    enter("merged2/sub");
    execute("./program");
}

static void overlay_renamed(void) {
    make_overlay("merged");
    enter("merged/sub");
    int program = open_path("program");
    CHECK(!rename("program", "renamed"));
    execute_fd(program);
}

static void overlay_deleted(void) {
    make_overlay("merged");
    enter("merged/new");
    int program = open_path("../sub/program");
    CHECK(!unlink("../sub/program"));
    CHECK(!rmdir("../new"));
    execute_fd(program);
}

static void overlay_chrooted(void) {
    make_overlay("merged");
    CHECK(!chroot("merged"));
    CHECK(!chdir("/sub"));
    execute("./program");
}

static void script(void) {
    char content[PATH_MAX + 20];
    enter("scripts\n");
    sprintf(content, "#!%s/program --tell\n", directory);
    write_file("script", content);
    int file = open_path("script");
    attempt();
    tell_file(file);
    execve("./script", (char *[]){"script", NULL}, environment);
    CHECK(!"it works");
}

/* Not in a format that the kernel knows. */
static void text(void) {
    enter("cwd");
    write_file("text", "no program\n");
    execute("./text");
}

static void *in_thread(void *unused) {
    CHECK(!unshare(CLONE_FS));
    enter("of the thread");
    execute("../program");
    return unused;
}

/* The thread that executes has a working directory of its own. */
static void thread(void) {
    pthread_t thread;
    CHECK(!pthread_create(&thread, NULL, in_thread, NULL));
    pthread_join(thread, NULL);
}

/* Executes `fd` as the parent of what is then executed: see be_parent(). */
static void execute_parent(int fd) {
    syscall(SYS_execveat, fd, "", (char *[]){"paths", "--parent", (char *)deed, NULL}, environment,
            AT_EMPTY_PATH);
    CHECK(!"it works");
}

static void deleted_parent(void) {
    int program = open_path("program");
    put("child");
    CHECK(!unlink("program"));
    execute_parent(program);
}

static void parent_in_memory(void) {
    int fd = memfd_create("parent", 0);
    CHECK(fd >= 0);
    fill(fd);
    put("child");
    execute_parent(fd);
}

/* Parent and child have different roots. */
static void chrooted_parent(void) {
    int program = open_path("program");
    make("root");
    make("root/root");
    make("root/root/cwd");
    put("root/child");
    put("root/root/child");
    CHECK(!linkat(program, "", AT_FDCWD, "root/parent", AT_EMPTY_PATH));
    int parent = open_path("root/parent");
    CHECK(!chroot("root"));
    CHECK(!chdir("/"));
    execute_parent(parent);
}

static int await(pid_t child) {
    int status = 0;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int be_parent(void) {
    tell_link("parent", "self/exe");
    pid_t child = fork();
    if (child == 0) {
        if (!strcmp(deed, "chrooted parent")) {
            CHECK(!chroot("root"));
            CHECK(!chdir("/cwd"));
            execute("../child");
        }
        execute("./child");
    }
    return await(child);
}

static const struct {
    const char *name;
    void (*act)(void);
} deeds[] = {
    {"plain", plain},
    {"from root", from_root},
    {"renamed", renamed},
    {"deleted", deleted},
    {"deleted and made again", deleted_and_made_again},
    {"in a deleted directory", in_deleted_directory},
    {"deleted root", deleted_root},
    {"nameless", nameless},
    {"memfd", memfd},
    {"memfd with a strange name", memfd_with_strange_name},
    {"by fd link", by_fd_link},
    {"by cwd link", by_cwd_link},
    {"by exe link", by_exe_link},
    {"symbolic links", symbolic_links},
    {"newlines", newlines},
    {"spaces", spaces},
    {"quotes", quotes},
    {"controls", controls},
    {"not UTF-8", not_utf8},
    {"UTF-8", utf8},
    {"called deleted", called_deleted},
    {"longest name", name_of_255_bytes},
    {"bound directory", bound_directory},
    {"bound file", bound_file},
    {"bound and deleted", bound_and_deleted},
    {"moved out of bound", moved_out_of_bound},
    {"stacked", stacked},
    {"covered", covered},
    {"moved mount", moved_mount},
    {"detached", detached},
    {"detached root", detached_root},
    {"detached under another", detached_under_another},
    {"never attached", never_attached},
    {"nested namespaces", nested_namespaces},
    {"from another namespace", from_another_namespace},
    {"chrooted", chrooted},
    {"chrooted twice", chrooted_twice},
    {"chrooted to mount", chrooted_to_mount},
    {"outside of root", outside_of_root},
    {"pivoted", pivoted},
    {"left on old root", left_on_old_root},
    {"overlay", overlay},
    {"overlay upper", overlay_upper},
    {"overlay in overlay", overlay_in_overlay},
    {"overlay renamed", overlay_renamed},
    {"overlay deleted", overlay_deleted},
    {"overlay chrooted", overlay_chrooted},
    {"script", script},
    {"text", text},
    {"thread", thread},
    {"deleted parent", deleted_parent},
    {"parent in memory", parent_in_memory},
    {"chrooted parent", chrooted_parent},
};

static void act(void) {
    CHECK(!unshare(CLONE_NEWNS));
    CHECK(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    mount_tmpfs(directory);
    CHECK(!chdir(directory));
    put("program");
    if (strstr(deed, " names"))
        nested(atoi(deed));
    if (strstr(deed, " bytes"))
        long_path(atoi(deed));
    for (size_t i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++)
        if (!strcmp(deeds[i].name, deed))
            deeds[i].act();
    CHECK(!"there is such a deed");
}

int main(int count, char **words) {
    if (count >= 3 && !strcmp(words[1], "--tell")) {
        /* By an interpreter line, the third word is the script. */
        deed = strcmp(words[2], "./script") ? words[2] : "script";
        tell_self();
        return 0;
    }
    if (count == 3 && !strcmp(words[1], "--parent")) {
        deed = words[2];
        return be_parent();
    }
    CHECK(count >= 2);
    CHECK(dup2(open("/proc", O_PATH | O_DIRECTORY), PROC) == PROC);
    directory = words[1];
    int status = 0;
    for (int i = 2; i < count; i++) {
        deed = words[i];
        tell_link("parent", "self/exe");
        pid_t child = fork();
        if (child == 0)
            act();
        status |= await(child);
    }
    return status;
}

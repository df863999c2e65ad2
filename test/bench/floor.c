/*
 * The C floor: what an exec tracer costs that has nothing but libbpf, a ring drained every 20 ms and a JSON
 * line per exec on standard output. ig is measured against it.
 *
 *   floor OBJECT.bpf.o      until SIGINT; "attached" and "N lost" go to standard error
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "floor.h"

#define DRAIN_EVERY_US 20000
#define OUTPUT_BYTES (1 << 20)

static volatile sig_atomic_t stopping;

static void stop(int signal) {
    (void)signal;
    stopping = 1;
}

static void print_string(const char *text, size_t size) {
    putchar_unlocked('"');
    for (size_t i = 0; i < size && text[i]; i++) {
        unsigned char c = text[i];
        if (c < 0x20) {
            printf("\\u%04x", c);
        } else {
            if (c == '"' || c == '\\')
                putchar_unlocked('\\');
            putchar_unlocked(c);
        }
    }
    putchar_unlocked('"');
}

static int on_record(void *context, void *data, size_t size) {
    const struct exec *exec = data;
    (void)context, (void)size;

    printf("{\"timestamp\":%llu,\"pid\":%u,\"ppid\":%u,\"uid\":%u,\"comm\":", exec->boot_ns, exec->pid,
           exec->parent_pid, exec->uid);
    print_string(exec->comm, sizeof(exec->comm));
    fputs(",\"pcomm\":", stdout);
    print_string(exec->parent_comm, sizeof(exec->parent_comm));
    fputs(",\"filename\":", stdout);
    print_string(exec->filename, sizeof(exec->filename));
    fputs(",\"args\":[", stdout);
    for (size_t at = 0; at < exec->args_size;) {
        if (at > 0)
            putchar_unlocked(',');
        print_string(exec->args + at, exec->args_size - at);
        at += strnlen(exec->args + at, exec->args_size - at) + 1;
    }
    fputs("]}\n", stdout);
    return 0;
}

/* `lost` is the object's only variable, the first of its .bss. */
static unsigned long long lost_records(struct bpf_object *object) {
    unsigned int key = 0;
    unsigned long long lost = 0;

    bpf_map_lookup_elem(bpf_object__find_map_fd_by_name(object, ".bss"), &key, &lost);
    return lost;
}

int main(int argc, char **argv) {
    struct bpf_object *object = argc == 2 ? bpf_object__open_file(argv[1], NULL) : NULL;

    if (!object || bpf_object__load(object))
        return 1;
    struct bpf_program *program = bpf_object__find_program_by_name(object, "floor_exec");
    struct ring_buffer *ring =
        ring_buffer__new(bpf_object__find_map_fd_by_name(object, "events"), on_record, NULL, NULL);
    struct bpf_link *link = ring ? bpf_program__attach(program) : NULL;
    if (!link)
        return 1;
    signal(SIGINT, stop);
    setvbuf(stdout, NULL, _IOFBF, OUTPUT_BYTES);
    fprintf(stderr, "attached\n");
    while (!stopping) {
        usleep(DRAIN_EVERY_US);
        ring_buffer__consume(ring);
        fflush(stdout);
    }
    bpf_link__destroy(link);
    ring_buffer__consume(ring);
    fflush(stdout);
    fprintf(stderr, "%llu lost\n", lost_records(object));
    return 0;
}

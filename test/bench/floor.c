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
/* As ig's writer: a write for many lines. */
#define OUTPUT_BYTES (1 << 20)
/* A line's worst case: every byte as \u00XX, and the numbers. */
#define LINE_BYTES (6 * sizeof(struct exec) + 256)

static volatile sig_atomic_t stopping;
static char output[OUTPUT_BYTES];
static size_t used;

static void stop(int signal) {
    (void)signal;
    stopping = 1;
}

static void flush(void) {
    for (size_t at = 0; at < used;) {
        ssize_t written = write(STDOUT_FILENO, output + at, used - at);
        if (written < 0)
            break;
        at += written;
    }
    used = 0;
}

static void put(const char *text, size_t size) {
    memcpy(output + used, text, size);
    used += size;
}

#define PUT(text) put(text, sizeof(text) - 1)

static void put_number(unsigned long long number) {
    char digits[20];
    int at = sizeof(digits);

    do
        digits[--at] = '0' + number % 10;
    while (number /= 10);
    put(digits + at, sizeof(digits) - at);
}

static void put_string(const char *text, size_t size) {
    static const char hex[] = "0123456789abcdef";

    PUT("\"");
    for (size_t i = 0; i < size; i++) {
        unsigned char c = text[i];
        if (c < 0x20) {
            char escape[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
            put(escape, sizeof(escape));
        } else {
            if (c == '"' || c == '\\')
                PUT("\\");
            output[used++] = c;
        }
    }
    PUT("\"");
}

static void put_args(const char *args, size_t size) {
    PUT("[");
    for (size_t at = 0; at < size;) {
        size_t length = strnlen(args + at, size - at);
        if (at > 0)
            PUT(",");
        put_string(args + at, length);
        at += length + 1;
    }
    PUT("]");
}

static int on_record(void *context, void *data, size_t size) {
    const struct exec *exec = data;
    (void)context, (void)size;

    if (used > OUTPUT_BYTES - LINE_BYTES)
        flush();
    PUT("{\"timestamp\":");
    put_number(exec->boot_ns);
    PUT(",\"pid\":");
    put_number(exec->pid);
    PUT(",\"ppid\":");
    put_number(exec->parent_pid);
    PUT(",\"uid\":");
    put_number(exec->uid);
    PUT(",\"comm\":");
    put_string(exec->comm, strnlen(exec->comm, sizeof(exec->comm)));
    PUT(",\"pcomm\":");
    put_string(exec->parent_comm, strnlen(exec->parent_comm, sizeof(exec->parent_comm)));
    PUT(",\"filename\":");
    put_string(exec->filename, strnlen(exec->filename, sizeof(exec->filename)));
    PUT(",\"args\":");
    put_args(exec->args, exec->args_size);
    PUT("}\n");
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

// Drops the events of commands whose name starts with a prefix.

#include <ig.h>

static ig_source exec;
static ig_field_text comm;
static ig_bytes prefix;

static bool on_exec(void) {
    return !ig_starts_with(ig_get_text(&comm), prefix);
}

void ig_init(void) {
    prefix = ig_param("prefix");
    if (prefix.size == 0)
        ig_fail("parameter prefix is empty: name the commands to leave out");

    ig_find_source(&exec, "exec", on_exec);
    ig_find_text(&exec, &comm, "proc.comm");
}

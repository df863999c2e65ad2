// Leaves out commands by their name, and adds the directory of the file that was executed.

#include <ig.h>

static ig_source exec;
static ig_field_text comm, filename;
static ig_column_text directory;
static ig_bytes hidden;

// For every event; false leaves it out.
static bool on_exec(void) {
    if (hidden.size > 0 && ig_starts_with(ig_get_text(&comm), hidden))
        return false;

    ig_bytes path = ig_get_text(&filename); // a view of the event: nothing is copied
    while (path.size > 0 && path.start[path.size - 1] != '/')
        path.size--;
    if (path.size > 1)
        path.size--; // without its last slash
    if (path.size > 0)
        ig_append(&directory, path); // otherwise the event has no directory
    return true;
}

// Once, before the first event: what is read and what is added, by name.
void ig_init(void) {
    hidden = ig_param("hide");

    ig_find_source(&exec, "exec", on_exec);
    ig_find_text(&exec, &comm, "proc.comm");
    ig_find_text(&exec, &filename, "filename");

    ig_add_text(&exec, &directory, "directory");
    ig_describe(&directory, "The directory of the file that was executed");
}

// Adds two fields: the directory of the file given to exec, and how deep it is.

#include <ig.h>

static ig_source exec;
static ig_field_text filename;
static ig_column_text directory;
static ig_column_u32 depth;

static bool on_exec(void) {
    ig_bytes path = ig_get_text(&filename);
    uint32_t slashes = 0, last = 0;
    for (uint32_t i = 0; i < path.size; i++) {
        if (path.start[i] != '/')
            continue;
        slashes++;
        last = i;
    }

    ig_set_u32(&depth, slashes);
    if (slashes > 0) {
        path.size = last == 0 ? 1 : last; // "/" itself has a directory, too
        ig_append(&directory, path);
    }
    return true;
}

void ig_init(void) {
    ig_find_source(&exec, "exec", on_exec);
    ig_find_text(&exec, &filename, "filename");

    ig_add_text(&exec, &directory, "directory");
    ig_describe(&directory, "Directory of the file given to exec");
    ig_add_u32(&exec, &depth, "depth");
    ig_describe(&depth, "Number of slashes in its path");
    ig_annotate(&depth, "columns.width", "5");
}

// Counts events per container, and says every few seconds how many there were.

#include <ig.h>

#define MAX_CONTAINERS 1024
#define SLOTS (4 * MAX_CONTAINERS)

typedef struct counted {
    uint64_t mntns_id, count;
    char *name; // of ig_alloc; 0 if none was seen
    uint32_t name_size;
} counted;

static ig_source exec;
static ig_field_u64 mntns_id;
static ig_field_text container_name;

static ig_source exec_counts;
static ig_column_u64 counts_mntns_id;
static ig_column_text counts_container;
static ig_column_u64 counts_count;

static counted counters[MAX_CONTAINERS + 1]; // the last one is for those that found no room
static uint32_t counter_count;
static uint16_t slots[SLOTS]; // a hash table: numbers in `counters`, from 1

/// The counter of a mount namespace: its own, a new one, or the one for all without room.
static counted *counter_of(uint64_t id) {
    uint32_t slot = (uint32_t)(id * 0x9e3779b97f4a7c15u >> 32) % SLOTS;
    for (; slots[slot] != 0; slot = (slot + 1) % SLOTS)
        if (counters[slots[slot] - 1].mntns_id == id)
            return &counters[slots[slot] - 1];
    if (counter_count >= MAX_CONTAINERS) {
        counter_count = MAX_CONTAINERS + 1;
        return &counters[MAX_CONTAINERS];
    }
    slots[slot] = (uint16_t)++counter_count;
    counters[counter_count - 1].mntns_id = id;
    return &counters[counter_count - 1];
}

/// Keeps a copy of the name, which is over when the handler returns.
static void keep_name(counted *counter, ig_bytes name) {
    ig_bytes kept = {(const uint8_t *)counter->name, counter->name_size};
    if (ig_equals(kept, name) || counter == &counters[MAX_CONTAINERS])
        return;
    ig_free(counter->name);
    counter->name = ig_alloc(name.size);
    counter->name_size = name.size;
    __builtin_memcpy(counter->name, name.start, name.size);
}

static bool on_exec(void) {
    counted *counter = counter_of(ig_get_u64(&mntns_id));
    counter->count++;
    if (ig_defined(&container_name))
        keep_name(counter, ig_get_text(&container_name));
    return true;
}

/// Emits what was counted, and forgets it.
static void report(void) {
    if (counter_count == 0)
        return;
    for (uint32_t i = 0; i < counter_count; i++) {
        ig_set_u64(&counts_mntns_id, counters[i].mntns_id);
        ig_set_u64(&counts_count, counters[i].count);
        if (counters[i].name != 0) {
            ig_bytes name = {(const uint8_t *)counters[i].name, counters[i].name_size};
            ig_append(&counts_container, name);
        }
        ig_emit(&exec_counts);
        ig_free(counters[i].name);
    }
    ig_log(IG_DEBUG, "reported %u containers", counter_count);
    __builtin_memset(counters, 0, sizeof(counters));
    __builtin_memset(slots, 0, sizeof(slots));
    counter_count = 0;
}

static void on_tick(uint64_t now) {
    (void)now;
    report();
}

void ig_init(void) {
    ig_bytes text = ig_param("interval");
    uint64_t seconds = 1;
    if (text.size > 0 && (!ig_parse(text, &seconds) || seconds < 1 || seconds > 3600))
        ig_fail("parameter interval is %.*s: it must be a number of seconds from 1 to 3600", IG_TEXT(text));
    ig_on_tick((uint32_t)seconds * 1000, on_tick);
    ig_on_finish(report);

    ig_find_source(&exec, "exec", on_exec);
    ig_find_u64(&exec, &mntns_id, "proc.mntns_id");
    if (ig_has(&exec, "runtime.containerName"))
        ig_find_text(&exec, &container_name, "runtime.containerName");

    ig_make_source(&exec_counts, "exec_counts");
    ig_add_u64(&exec_counts, &counts_mntns_id, "mntns_id");
    ig_describe(&counts_mntns_id, "Mount namespace of the container");
    ig_tag(&counts_mntns_id, "type:gadget_mntns_id");
    ig_add_text(&exec_counts, &counts_container, "container");
    ig_add_u64(&exec_counts, &counts_count, "count");
}

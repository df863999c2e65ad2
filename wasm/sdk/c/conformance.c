// The program of the conformance suite, wasm/sdk/conformance.test.ts: it uses everything there is.

#include <ig.h>

#define LENGTH 4

/// Every field that is read and added as it is, with its kind.
#define NUMBERS(X)                                                                                           \
    X(b, bool)                                                                                               \
    X(s8, s8)                                                                                                \
    X(s16, s16)                                                                                              \
    X(s32, s32)                                                                                              \
    X(s64, s64)                                                                                              \
    X(u8, u8)                                                                                                \
    X(u16, u16)                                                                                              \
    X(u32, u32)                                                                                              \
    X(u64, u64)                                                                                              \
    X(f32, f32)                                                                                              \
    X(f64, f64)                                                                                              \
    X(m, u32)                                                                                                \
    X(n, s64)
#define TEXTS(X)                                                                                             \
    X(c, text)                                                                                               \
    X(t, text)                                                                                               \
    X(y, bytes)                                                                                              \
    X(x, text)

static ig_source all;
#define DECLARE_NUMBER(name, kind)                                                                           \
    static ig_field_##kind name;                                                                             \
    static ig_column_##kind out_##name;
NUMBERS(DECLARE_NUMBER)
#define DECLARE_TEXT(name, kind)                                                                             \
    static ig_field_text name;                                                                               \
    static ig_column_text out_##name;
TEXTS(DECLARE_TEXT)
static ig_field_list l;
static ig_column_text out_l;
static ig_field_u32 a;
static ig_column_u32 out_a;
static ig_field_u32 missing;
static ig_column_bool out_exists;
static ig_column_u16 new_u16;

static ig_source alerts;
static ig_column_text alert_text;
static ig_column_u64 alert_u64;
static ig_column_bool alert_flag;
static ig_column_text alert_list;
static ig_column_u32 alert_a;
static ig_column_u8 alert_never;

static void copy_list(ig_column_text *to) {
    ig_bytes list = ig_get_list(&l);
    ig_append(to, (ig_bytes){list.start, 0}); // an empty list is a value, too
    for (ig_bytes item; ig_next(&list, &item);)
        ig_append_item(to, item);
}

static void copy_array(ig_column_u32 *to) {
    for (uint32_t i = 0; i < LENGTH; i++)
        ig_set_u32_at(to, i, ig_get_u32_at(&a, i));
}

static void alert(void) {
    if (ig_defined(&t))
        ig_append(&alert_text, ig_get_text(&t));
    ig_set_u64(&alert_u64, ig_get_u64(&u64));
    ig_set_bool(&alert_flag, ig_get_bool(&b));
    if (ig_defined(&l))
        copy_list(&alert_list);
    copy_array(&alert_a);
    ig_emit(&alerts);
}

static bool on_event(void) {
    if (ig_get_u8(&u8) == 13) {
        ig_fail("told to fail");
        return true;
    }
    if (ig_get_u8(&u8) == 255)
        return false;

#define COPY_NUMBER(name, kind)                                                                              \
    if (ig_defined(&name))                                                                                   \
        ig_set_##kind(&out_##name, ig_get_##kind(&name));
    NUMBERS(COPY_NUMBER)
#define COPY_TEXT(name, kind)                                                                                \
    if (ig_defined(&name))                                                                                   \
        ig_append(&out_##name, ig_get_text(&name));
    TEXTS(COPY_TEXT)
    if (ig_defined(&l))
        copy_list(&out_l);
    if (ig_defined(&a))
        copy_array(&out_a);
    ig_set_bool(&out_exists, ig_exists(&missing));
    ig_set_u16(&new_u16, (uint16_t)(ig_get_u16(&u16) + 1));

    if (ig_get_u8(&u8) == 7)
        ig_log(IG_DEBUG, "row %u", ig_get_u32(&u32));
    if (ig_get_u8(&u8) == 42)
        alert();
    return true;
}

static void on_tick(uint64_t now) {
    ig_append_text(&alert_text, "tick ");
    ig_append_unsigned(&alert_text, now);
    ig_emit(&alerts);
}

static void on_finish(void) {
    ig_append_text(&alert_text, "end");
    ig_emit(&alerts);
    ig_log(IG_INFO, "bye");
}

void ig_init(void) {
    ig_bytes reason = ig_param("fail-init");
    if (reason.size > 0)
        ig_fail("%.*s", IG_TEXT(reason));
    ig_on_tick(100, on_tick);
    ig_on_finish(on_finish);

    ig_find_source(&all, "all", on_event);
#define FIND_NUMBER(name, kind) ig_find_##kind(&all, &name, #name);
    NUMBERS(FIND_NUMBER)
#define FIND_TEXT(name, kind) ig_find_text(&all, &name, #name);
    TEXTS(FIND_TEXT)
    ig_find_list(&all, &l, "l");
    ig_find_u32_array(&all, &a, "a");
    if (ig_has(&all, "missing"))
        ig_find_u32(&all, &missing, "missing");

#define ADD(name, kind) ig_add_##kind(&all, &out_##name, "out." #name);
    NUMBERS(ADD)
    TEXTS(ADD)
    ig_add_list(&all, &out_l, "out.l");
    ig_add_u32_array(&all, &out_a, "out.a", LENGTH);
    ig_add_bool(&all, &out_exists, "out.exists");
    ig_add_u16(&all, &new_u16, "u16");

    ig_make_source(&alerts, "alerts");
    ig_add_text(&alerts, &alert_text, "text");
    ig_add_u64(&alerts, &alert_u64, "u64");
    ig_add_bool(&alerts, &alert_flag, "flag");
    ig_add_list(&alerts, &alert_list, "list");
    ig_add_u32_array(&alerts, &alert_a, "a", LENGTH);
    ig_add_u8(&alerts, &alert_never, "never");
}

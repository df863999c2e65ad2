// What a filter or a gadget's post-processor in C or C++ needs: include it in the one file that is compiled.
// See README.md.
//
// The program defines `ig_init`, which finds the fields it reads, declares those it adds, and names the
// functions to call. This header exports what wasm/wit/post-processor.wit asks for, goes through the batches,
// and makes the patches, whose layouts are in wasm/wit/README.md. It needs no libc. Names that begin with
// `igi_` are its own.

#ifndef IG_H
#define IG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef __wasm_bulk_memory__
#error "compile with build.js, or as README.md says: --target=wasm32 -mbulk-memory"
#endif

#ifdef __cplusplus
extern "C" {
#endif

// ---- What the program gives ----

/// Called once, before the first event. May call `ig_fail` and return.
void ig_init(void);

/// Called for each event of a data source; false drops the event.
typedef bool (*ig_event_handler)(void);
/// `now` is CLOCK_BOOTTIME in nanoseconds, the clock of events' timestamps.
typedef void (*ig_tick_handler)(uint64_t now);
typedef void (*ig_finish_handler)(void);

// ---- Views of bytes ----

/// Bytes somewhere in memory, such as the text of an event: valid until the handler returns.
typedef struct ig_bytes {
    const uint8_t *start;
    uint32_t size;
} ig_bytes;

/// For `%.*s`: ig_fail("not a number: %.*s", IG_TEXT(value)).
#define IG_TEXT(bytes) (int)(bytes).size, (const char *)(bytes).start

// ---- Kinds, as numbered by `enum kind` of the WIT ----

enum igi_kind {
    IGI_NONE,
    IGI_BOOL,
    IGI_S8,
    IGI_S16,
    IGI_S32,
    IGI_S64,
    IGI_U8,
    IGI_U16,
    IGI_U32,
    IGI_U64,
    IGI_F32,
    IGI_F64,
    IGI_TEXT,
    IGI_CSTRING,
    IGI_BYTES,
    IGI_LIST,
    IGI_KINDS,
};

/// For each kind of number: its name here, its type in C, what memory holds, its kind.
#define IGI_NUMBERS(X)                                                                                       \
    X(bool, bool, uint8_t, IGI_BOOL)                                                                         \
    X(s8, int8_t, int8_t, IGI_S8)                                                                            \
    X(s16, int16_t, int16_t, IGI_S16)                                                                        \
    X(s32, int32_t, int32_t, IGI_S32)                                                                        \
    X(s64, int64_t, int64_t, IGI_S64)                                                                        \
    X(u8, uint8_t, uint8_t, IGI_U8)                                                                          \
    X(u16, uint16_t, uint16_t, IGI_U16)                                                                      \
    X(u32, uint32_t, uint32_t, IGI_U32)                                                                      \
    X(u64, uint64_t, uint64_t, IGI_U64)                                                                      \
    X(f32, float, float, IGI_F32)                                                                            \
    X(f64, double, double, IGI_F64)

// ---- What the host gives and takes: records of the WIT as the canonical ABI has them in memory ----

typedef struct igi_list {
    void *items;
    uint32_t count;
} igi_list;

typedef struct igi_pair {
    ig_bytes key, value;
} igi_pair;

enum igi_place { IGI_FIXED, IGI_TAIL, IGI_COLUMN, IGI_NOWHERE };

typedef struct igi_host_field {
    ig_bytes name;
    uint8_t kind;
    uint32_t length;
    uint8_t place;
    uint32_t offset, size;
    igi_list tags, annotations;
} igi_host_field;

typedef struct igi_host_source {
    uint32_t id;
    ig_bytes name;
    igi_list fields;
} igi_host_source;

typedef struct igi_new_field {
    ig_bytes name;
    uint8_t kind;
    uint32_t length;
    igi_list tags, annotations;
} igi_new_field;

typedef struct igi_new_column {
    uint32_t source;
    igi_new_field field;
} igi_new_column;

typedef struct igi_new_source {
    ig_bytes name;
    igi_list fields;
} igi_new_source;

typedef struct igi_read {
    uint32_t source, field;
} igi_read;

typedef struct igi_plan {
    igi_list columns, reads, emits;
    uint32_t tick_ms;
} igi_plan;

typedef struct igi_result {
    uint8_t is_error;
    union {
        igi_plan plan;
        ig_bytes bytes;
    } as;
} igi_result;

// ---- Sources, fields and columns: they belong to the program, and are zero before they are found ----

typedef struct igi_field {
    struct ig_source *source; // 0 until found
    uint8_t place, kind;
    uint32_t offset, size; // size: of all the field's bytes in a record or, for numbers, in a column
    uint32_t length;
    bool has_marker;
    uint64_t marker;       // the raw value that means "none"
    uint32_t number, slot; // of a column: among the source's fields, and among its columns in a batch
    const uint8_t *values, *defined; // of a column, in this batch; 0 = none have a value; 0 = all have
    struct igi_field *next;          // of the source's fields of place column
} igi_field;

typedef struct igi_column {
    igi_new_field about;
    struct ig_source *source;
    uint32_t index;     // among the plan's columns
    uint32_t width;     // of a value, in bytes; 0 when values differ
    bool wanted;        // whether anything reads it
    uint8_t *values;    // while events are processed, if wanted; else 0
    uint8_t *defined;   // one byte per event
    uint32_t *offsets;  // width 0: ends of the values, with a 0 before them; `values` stands behind
    uint32_t used;      // width 0: bytes of values so far …
    uint32_t room;      // … and how many fit
    uint32_t per_event; // width 0: bytes to reserve for each event
    struct igi_column *next;
} igi_column;

/// A data source: of the gadget, or one that the program makes.
typedef struct ig_source {
    const igi_host_source *host; // 0 until found, and in one that is made
    bool is_made;
    ig_bytes name;
    uint32_t id;
    ig_event_handler on_event;
    uint32_t row;   // of the current event
    uint32_t count; // of events: in this batch; in a source that is made, how many there is room for
    igi_column *columns;
    igi_field *column_fields;
    uint32_t slots;
    struct ig_source *next;
} ig_source;

/// Text, a fixed char array, or bytes.
typedef struct ig_field_text {
    igi_field field;
} ig_field_text;

/// A list of strings.
typedef struct ig_field_list {
    igi_field field;
} ig_field_list;

/// Text, bytes, or a list of strings.
typedef struct ig_column_text {
    igi_column column;
} ig_column_text;

#define IGI_TYPES(name, type, stored, kind)                                                                  \
    typedef struct ig_field_##name {                                                                         \
        igi_field field;                                                                                     \
    } ig_field_##name;                                                                                       \
    typedef struct ig_column_##name {                                                                        \
        igi_column column;                                                                                   \
    } ig_column_##name;
IGI_NUMBERS(IGI_TYPES)
#undef IGI_TYPES

// ---- The end of an instance ----

/// The address and the size of what it was stopped for, where ig looks for it.
__attribute__((weak)) uintptr_t ig_last_words[2];

#define IGI_OUT_OF_MEMORY "it needs more memory than it may have"
#define IGI_OUT_OF_ARRAY "an array was read or written beyond its end"

/// Stops the module, which loses its batch and starts anew. `reason` is a literal.
__attribute__((noreturn)) static inline void igi_stop(const char *reason) {
    ig_last_words[0] = (uintptr_t)reason;
    ig_last_words[1] = __builtin_strlen(reason);
    __builtin_trap();
}

// ---- Memory: blocks of 16, 24, 32, 48, 64 … bytes; a freed one is used again ----

void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);

// Compilers call these even where a program does not. With bulk memory, the first three are an instruction
// each.
__attribute__((weak)) void *memcpy(void *to, const void *from, size_t size) {
    return __builtin_memcpy(to, from, size);
}

__attribute__((weak)) void *memmove(void *to, const void *from, size_t size) {
    return __builtin_memmove(to, from, size);
}

__attribute__((weak)) void *memset(void *to, int byte, size_t size) {
    return __builtin_memset(to, byte, size);
}

__attribute__((weak)) int memcmp(const void *a, const void *b, size_t size) {
    const uint8_t *left = (const uint8_t *)a, *right = (const uint8_t *)b;
    for (size_t i = 0; i < size; i++)
        if (left[i] != right[i])
            return left[i] < right[i] ? -1 : 1;
    return 0;
}

__attribute__((weak)) size_t strlen(const char *text) {
    size_t size = 0;
    while (text[size] != 0)
        size++;
    return size;
}

#define IGI_PAGE_SIZE 65536u
#define IGI_BLOCK_HEAD 8u
#define IGI_BLOCK_MIN 16u
#define IGI_BLOCK_MAX 0x7fffffffu

extern unsigned char __heap_base; // by the linker: the first byte behind stack and globals

static uintptr_t igi_heap_end;
/// First free block for each power of two and each one and a half times; their first bytes lead to the next.
static void *igi_free_blocks[64];

static inline uint32_t igi_align8(uint32_t size) {
    return (size + 7) & ~7u;
}

static inline uint32_t igi_block_class(uint32_t size) {
    if (size <= IGI_BLOCK_MIN)
        return 7;
    uint32_t power = 31 - (uint32_t)__builtin_clz(size - 1);
    return 2 * power + (size > (3u << (power - 1)));
}

static inline uint32_t igi_block_size(uint32_t block_class) {
    uint32_t power = block_class / 2;
    return block_class % 2 == 1 ? 2u << power : 3u << (power - 1);
}

/// How many bytes fit in a block.
static inline uint32_t igi_capacity(const void *block) {
    return igi_block_size(*(const uint32_t *)((const uint8_t *)block - IGI_BLOCK_HEAD)) - IGI_BLOCK_HEAD;
}

/// Memory of `size` bytes, at a multiple of 8, not cleared. Stops the module when there is none left.
static void *ig_alloc(uint32_t size) {
    if (size > IGI_BLOCK_MAX - IGI_BLOCK_HEAD)
        igi_stop(IGI_OUT_OF_MEMORY);
    uint32_t block_class = igi_block_class(size + IGI_BLOCK_HEAD);
    void *block = igi_free_blocks[block_class];
    if (block != 0) {
        igi_free_blocks[block_class] = *(void **)block;
        return block;
    }
    if (igi_heap_end == 0)
        igi_heap_end = ((uintptr_t)&__heap_base + 7) & ~(uintptr_t)7;
    uint64_t end = (uint64_t)igi_heap_end + igi_block_size(block_class);
    uint64_t memory = (uint64_t)__builtin_wasm_memory_size(0) * IGI_PAGE_SIZE;
    if (end > memory) {
        size_t pages = (size_t)((end - memory + IGI_PAGE_SIZE - 1) / IGI_PAGE_SIZE);
        if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1)
            igi_stop(IGI_OUT_OF_MEMORY);
    }
    *(uint32_t *)igi_heap_end = block_class;
    block = (void *)(igi_heap_end + IGI_BLOCK_HEAD);
    igi_heap_end = (uintptr_t)end;
    return block;
}

/// Gives back what `ig_alloc` returned; 0 is nothing.
static inline void ig_free(void *block) {
    if (block == 0)
        return;
    uint32_t block_class = *(uint32_t *)((uint8_t *)block - IGI_BLOCK_HEAD);
    *(void **)block = igi_free_blocks[block_class];
    igi_free_blocks[block_class] = block;
}

/// Makes a block hold `size` bytes; its first `used` ones are kept. 0 is a block of none.
static void *igi_resize(void *block, uint32_t used, uint32_t size) {
    if (block != 0 && size <= igi_capacity(block))
        return block;
    void *larger = ig_alloc(size);
    if (block != 0)
        __builtin_memcpy(larger, block, used);
    ig_free(block);
    return larger;
}

// ---- Text ----

/// The bytes of a text of C.
static inline ig_bytes ig_string(const char *text) {
    ig_bytes bytes = {(const uint8_t *)text, (uint32_t)__builtin_strlen(text)};
    return bytes;
}

static inline bool ig_starts_with(ig_bytes bytes, ig_bytes prefix) {
    if (bytes.size < prefix.size)
        return false;
    for (uint32_t i = 0; i < prefix.size; i++)
        if (bytes.start[i] != prefix.start[i])
            return false;
    return true;
}

static inline bool ig_equals(ig_bytes a, ig_bytes b) {
    return a.size == b.size && ig_starts_with(a, b);
}

/// Reads a whole number of decimal digits and nothing else. False when it is none, or 2^64 or above.
static inline bool ig_parse(ig_bytes text, uint64_t *number) {
    uint64_t value = 0;
    for (uint32_t i = 0; i < text.size; i++) {
        uint32_t digit = (uint32_t)text.start[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return false;
        value = 10 * value + digit;
    }
    *number = value;
    return text.size > 0;
}

/// Number of bytes before the first NUL of `limit` bytes.
static inline uint32_t igi_string_size(const uint8_t *start, uint32_t limit) {
    uint32_t size = 0;
    for (; size + 8 <= limit; size += 8) {
        uint64_t word;
        __builtin_memcpy(&word, start + size, 8);
        uint64_t zeros = (word - 0x0101010101010101u) & ~word & 0x8080808080808080u;
        if (zeros != 0)
            return size + (uint32_t)__builtin_ctzll(zeros) / 8;
    }
    while (size < limit && start[size] != 0)
        size++;
    return size;
}

/// Copies bytes: the few of a name faster than by the instruction for any number of them, which is a call.
static inline void igi_copy(uint8_t *to, const uint8_t *from, uint32_t size) {
    if (size > 64) {
        __builtin_memcpy(to, from, size);
    } else if (size >= 8) {
        for (uint32_t i = 0; i + 8 < size; i += 8)
            __builtin_memcpy(to + i, from + i, 8);
        __builtin_memcpy(to + size - 8, from + size - 8, 8);
    } else {
        for (uint32_t i = 0; i < size; i++)
            to[i] = from[i];
    }
}

/// Bytes that grow.
typedef struct igi_buffer {
    uint8_t *start;
    uint32_t size, room;
} igi_buffer;

static void igi_reserve(igi_buffer *buffer, uint32_t size) {
    if (size <= buffer->room - buffer->size)
        return;
    buffer->start = (uint8_t *)igi_resize(buffer->start, buffer->size, buffer->size + size);
    buffer->room = igi_capacity(buffer->start);
}

static void igi_put(igi_buffer *buffer, const void *bytes, uint32_t size) {
    igi_reserve(buffer, size);
    __builtin_memcpy(buffer->start + buffer->size, bytes, size);
    buffer->size += size;
}

/// The most characters of a 64-bit number.
#define IGI_DIGITS 20

/// Writes a number's digits to the end of `digits`; returns the first.
static inline const uint8_t *igi_digits(uint8_t digits[IGI_DIGITS], uint64_t value, uint32_t base) {
    uint8_t *at = digits + IGI_DIGITS;
    do {
        uint32_t digit = (uint32_t)(value % base);
        *--at = (uint8_t)(digit < 10 ? '0' + digit : 'a' + digit - 10);
        value /= base;
    } while (value != 0);
    return at;
}

static void igi_put_number(igi_buffer *buffer, uint64_t value, uint32_t base) {
    uint8_t digits[IGI_DIGITS];
    const uint8_t *first = igi_digits(digits, value, base);
    igi_put(buffer, first, (uint32_t)(digits + IGI_DIGITS - first));
}

/// printf's %s %.*s %c %d %i %u %x %% and the sizes hh, h, l, ll, z, without widths. What follows another one
/// stays as it is.
static __attribute__((noinline)) void igi_format(igi_buffer *buffer, const char *format, va_list values) {
    for (;;) {
        const char *stop = format;
        while (*stop != 0 && *stop != '%')
            stop++;
        igi_put(buffer, format, (uint32_t)(stop - format));
        if (*stop == 0)
            return;
        format = stop + 1;
        uint32_t limit = UINT32_MAX;
        if (format[0] == '.' && format[1] == '*') {
            limit = va_arg(values, uint32_t);
            format += 2;
        }
        uint32_t longs = 0;
        for (; *format == 'l' || *format == 'h' || *format == 'z'; format++)
            longs += *format == 'l';
        switch (*format++) {
        case '%':
            igi_put(buffer, "%", 1);
            break;
        case 'c': {
            uint8_t byte = (uint8_t)va_arg(values, int);
            igi_put(buffer, &byte, 1);
            break;
        }
        case 's': {
            const char *text = va_arg(values, const char *);
            uint32_t size =
                limit == UINT32_MAX ? (uint32_t)strlen(text) : igi_string_size((const uint8_t *)text, limit);
            igi_put(buffer, text, size);
            break;
        }
        case 'd':
        case 'i': {
            int64_t value = longs > 1 ? va_arg(values, int64_t) : va_arg(values, int32_t);
            if (value < 0)
                igi_put(buffer, "-", 1);
            igi_put_number(buffer, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10);
            break;
        }
        case 'u':
        case 'x':
            igi_put_number(buffer, longs > 1 ? va_arg(values, uint64_t) : va_arg(values, uint32_t),
                           format[-1] == 'x' ? 16 : 10);
            break;
        default:
            igi_put(buffer, stop, (uint32_t)strlen(stop));
            return;
        }
    }
}

// ---- Parameters, failing, the log ----

static igi_list igi_params;  // of igi_pair
static igi_list igi_sources; // of igi_host_source: what the gadget has

static igi_buffer igi_failure; // why the module refuses; empty if it does not
static bool igi_has_failed;

/// Stops the run with this sentence when called in `ig_init`; later, loses the batch, and shows it. Returns:
/// go back from the handler behind it. Of several sentences, the first counts.
__attribute__((format(printf, 1, 2))) static inline void ig_fail(const char *format, ...) {
    if (igi_has_failed)
        return;
    igi_has_failed = true;
    va_list values;
    va_start(values, format);
    igi_format(&igi_failure, format, values);
    va_end(values);
}

/// The value of a parameter; empty if there is none of that key.
static inline ig_bytes ig_param(const char *key) {
    const igi_pair *pairs = (const igi_pair *)igi_params.items;
    ig_bytes wanted = ig_string(key), none = {0, 0};
    for (uint32_t i = 0; i < igi_params.count; i++)
        if (ig_equals(pairs[i].key, wanted))
            return pairs[i].value;
    return none;
}

typedef enum ig_level { IG_ERROR, IG_WARN, IG_INFO, IG_DEBUG, IG_TRACE } ig_level;

static uint32_t igi_level; // the last one that is seen

typedef struct igi_line {
    uint32_t level, position, size;
} igi_line;

static igi_buffer igi_lines, igi_lines_text;

/// Whether anybody sees what is logged at this level.
static inline bool ig_logs(ig_level level) {
    return (uint32_t)level <= igi_level;
}

__attribute__((format(printf, 2, 3))) static inline void igi_log(ig_level level, const char *format, ...) {
    igi_line line = {(uint32_t)level, igi_lines_text.size, 0};
    va_list values;
    va_start(values, format);
    igi_format(&igi_lines_text, format, values);
    va_end(values);
    line.size = igi_lines_text.size - line.position;
    igi_put(&igi_lines, &line, sizeof(line));
}

/// ig_log(IG_DEBUG, "%u seen", count). Its arguments are not evaluated when nobody sees the level.
#define ig_log(level, ...)                                                                                   \
    do {                                                                                                     \
        if (ig_logs(level))                                                                                  \
            igi_log(level, __VA_ARGS__);                                                                     \
    } while (0)

static uint32_t igi_tick_ms;
static ig_tick_handler igi_on_tick;
static ig_finish_handler igi_on_finish;

/// In `ig_init`: calls `handler` every `ms` milliseconds, 10 at least, also when nothing happens.
static inline void ig_on_tick(uint32_t ms, ig_tick_handler handler) {
    igi_tick_ms = ms;
    igi_on_tick = handler;
}

/// In `ig_init`: calls `handler` once, at the end.
static inline void ig_on_finish(ig_finish_handler handler) {
    igi_on_finish = handler;
}

// ---- Finding sources and fields, in `ig_init` ----

static ig_source *igi_first_source;
static uint32_t igi_column_count; // of all sources of the gadget

static inline void igi_register(ig_source *source, ig_bytes name, bool is_made) {
    __builtin_memset(source, 0, sizeof(*source));
    source->name = name;
    source->is_made = is_made;
    ig_source **end = &igi_first_source;
    while (*end != 0)
        end = &(*end)->next;
    *end = source;
}

/// The program's source that stands for number `id` of the gadget's; 0 if none does.
static inline ig_source *igi_source_of(uint32_t id) {
    ig_source *source = igi_first_source;
    while (source != 0 && (source->is_made || source->id != id))
        source = source->next;
    return source;
}

/// Finds the data source of this name, "*" for the first there is, and says what to do for each of its
/// events. Fails when there is none.
static inline void ig_find_source(ig_source *source, const char *name, ig_event_handler on_event) {
    const igi_host_source *host = (const igi_host_source *)igi_sources.items;
    bool any = ig_equals(ig_string(name), ig_string("*"));
    for (uint32_t i = 0; i < igi_sources.count; i++, host++) {
        if (!any && !ig_equals(host->name, ig_string(name)))
            continue;
        if (igi_source_of(host->id) != 0)
            ig_fail("data source %.*s is found twice; once is enough", IG_TEXT(host->name));
        igi_register(source, host->name, false);
        source->host = host;
        source->id = host->id;
        source->on_event = on_event;
        return;
    }
    if (any)
        ig_fail("there is no data source, and the module needs one");
    else
        ig_fail("there is no data source %s, which the module needs", name);
}

static inline const igi_host_field *igi_host_field_of(const ig_source *source, const char *name) {
    if (source->host == 0)
        return 0;
    const igi_host_field *fields = (const igi_host_field *)source->host->fields.items;
    for (uint32_t i = 0; i < source->host->fields.count; i++)
        if (ig_equals(fields[i].name, ig_string(name)))
            return &fields[i];
    return 0;
}

/// Whether the source has a field of this name: for a field that is not always there. One that was not found
/// reads as 0 or nothing.
static inline bool ig_has(const ig_source *source, const char *name) {
    return igi_host_field_of(source, name) != 0;
}

/// The kinds a field may have, a bit for each.
#define IGI_TEXT_KINDS (1u << IGI_TEXT | 1u << IGI_CSTRING | 1u << IGI_BYTES)
#define IGI_LIST_KINDS (1u << IGI_LIST)

static inline const char *igi_kind_name(uint32_t kind) {
    static const char *const names[IGI_KINDS] = {"none", "boolean", "s8",    "s16",      "s32", "s64",
                                                 "u8",   "u16",     "u32",   "u64",      "f32", "f64",
                                                 "text", "cstring", "bytes", "text-list"};
    return kind < IGI_KINDS ? names[kind] : "unknown";
}

/// Says that a field is not of the kinds that the module reads.
static void igi_fail_kind(const ig_source *source, const igi_host_field *field, uint32_t kinds,
                          bool is_array) {
    igi_buffer found = {0, 0, 0};
    const char *kind = igi_kind_name(field->kind);
    igi_put(&found, kind, (uint32_t)strlen(kind));
    if (field->length > 1) {
        igi_put(&found, "[", 1);
        igi_put_number(&found, field->length, 10);
        igi_put(&found, "]", 1);
    }
    ig_bytes is = {found.start, found.size};
    ig_fail("field %.*s of data source %.*s is %.*s, but the module reads it as %s%s", IG_TEXT(field->name),
            IG_TEXT(source->name), IG_TEXT(is),
            kinds == IGI_TEXT_KINDS ? "text or bytes" : igi_kind_name((uint32_t)__builtin_ctz(kinds)),
            is_array ? "[]" : "");
    ig_free(found.start);
}

/// Has a field of place column come with the batches: another of the same field shares its slot.
static void igi_read_column(ig_source *source, igi_field *field) {
    field->slot = source->slots;
    for (igi_field *other = source->column_fields; other != 0; other = other->next)
        if (other->number == field->number)
            field->slot = other->slot;
    if (field->slot == source->slots)
        source->slots++;
    field->next = source->column_fields;
    source->column_fields = field;
}

static void igi_find(ig_source *source, igi_field *field, const char *name, uint32_t kinds, uint32_t width,
                     bool is_array) {
    __builtin_memset(field, 0, sizeof(*field));
    if (source->host == 0) {
        if (source->is_made)
            ig_fail("field %s of data source %.*s cannot be read: the module makes it", name,
                    IG_TEXT(source->name));
        return; // otherwise the source is missing, which was said
    }
    const igi_host_field *host = igi_host_field_of(source, name);
    if (host == 0) {
        ig_fail("field %s of data source %.*s does not exist, but the module needs it", name,
                IG_TEXT(source->name));
        return;
    }
    if ((kinds >> host->kind & 1) == 0 ||
        (width > 0 && (host->place == IGI_TAIL || (!is_array && host->length != 1)))) {
        igi_fail_kind(source, host, kinds, is_array);
        return;
    }
    field->source = source;
    field->kind = host->kind;
    field->place = host->place;
    field->offset = host->offset;
    field->length = host->length;
    field->size = width > 0 ? width * host->length : host->size;
    field->number = (uint32_t)(host - (const igi_host_field *)source->host->fields.items);
    if (host->place == IGI_COLUMN)
        igi_read_column(source, field);
    const igi_pair *annotations = (const igi_pair *)host->annotations.items;
    for (uint32_t i = 0; i < host->annotations.count; i++)
        if (width > 0 && host->length == 1 && ig_equals(annotations[i].key, ig_string("value.undefined")))
            field->has_marker = ig_parse(annotations[i].value, &field->marker);
}

/// Finds a field of text (a fixed char array is one) or bytes. Fails when it is missing, or is of another
/// kind.
static inline void ig_find_text(ig_source *source, ig_field_text *field, const char *name) {
    igi_find(source, &field->field, name, IGI_TEXT_KINDS, 0, false);
}

/// Finds a list of strings. Fails when it is missing, or is of another kind.
static inline void ig_find_list(ig_source *source, ig_field_list *field, const char *name) {
    igi_find(source, &field->field, name, IGI_LIST_KINDS, 0, false);
}

// ---- Reading the current event ----

static const uint8_t *igi_record; // of the current event
static uint32_t igi_record_size;

/// Whether the field was found.
#define ig_exists(name) ((name)->field.source != 0)
/// Whether the current event has a value in it.
#define ig_defined(name) igi_is_defined(&(name)->field)
/// How many values an array has.
#define ig_length(name) ((name)->field.length)

/// Where the current event's values of a column begin; 0 when there are none. Also of a field that was not
/// found.
static inline const uint8_t *igi_column_value(const igi_field *field) {
    if (field->values == 0)
        return 0;
    return field->values + (size_t)field->source->row * field->size;
}

/// The bytes of the current event's value, of a kind whose values differ in size or are fixed char arrays.
/// `start` is 0 when there is none. The kernel side is not trusted: a value outside its record is none.
static inline ig_bytes igi_locate(const igi_field *field) {
    ig_bytes found = {0, 0};
    if (field->source == 0)
        return found;
    if (field->place == IGI_FIXED) {
        found.start = igi_record + field->offset;
        found.size = field->size;
    } else if (field->place == IGI_TAIL) {
        uint32_t span[2]; // offset and size
        __builtin_memcpy(span, igi_record + field->offset, sizeof(span));
        if (span[0] == 0 || (uint64_t)span[0] + span[1] > igi_record_size)
            return found;
        found.start = igi_record + span[0];
        found.size = span[1];
    } else if (field->values != 0 && (field->defined == 0 || field->defined[field->source->row] != 0)) {
        const uint32_t *offsets = (const uint32_t *)field->values;
        uint32_t row = field->source->row;
        found.start = (const uint8_t *)(offsets + field->source->count + 1) + offsets[row];
        found.size = offsets[row + 1] - offsets[row];
    }
    return found;
}

static inline bool igi_is_marker(const igi_field *field, const uint8_t *value) {
    uint64_t difference = field->marker;
    for (uint32_t i = 0; i < field->size; i++)
        difference ^= (uint64_t)value[i] << (8 * i);
    return difference == 0;
}

static inline bool igi_is_defined(const igi_field *field) {
    if (field->source == 0)
        return false;
    if (field->kind >= IGI_TEXT)
        return igi_locate(field).start != 0;
    if (field->place == IGI_FIXED)
        return !field->has_marker || !igi_is_marker(field, igi_record + field->offset);
    const uint8_t *value = igi_column_value(field);
    return value != 0 && (field->defined == 0 || field->defined[field->source->row] != 0);
}

/// The current event's value; empty if there is none.
static inline ig_bytes ig_get_text(const ig_field_text *text) {
    ig_bytes value = igi_locate(&text->field);
    if (text->field.kind == IGI_CSTRING)
        value.size = igi_string_size(value.start, value.size);
    return value;
}

/// The current event's strings, each with its NUL; `ig_next` takes them one by one. Empty if there is no
/// value.
static inline ig_bytes ig_get_list(const ig_field_list *list) {
    return igi_locate(&list->field);
}

/// Takes the first string off a list. False at its end. A last one that was cut off counts.
static inline bool ig_next(ig_bytes *list, ig_bytes *string) {
    if (list->size == 0)
        return false;
    string->start = list->start;
    string->size = igi_string_size(list->start, list->size);
    uint32_t taken = string->size < list->size ? string->size + 1 : string->size;
    list->start += taken;
    list->size -= taken;
    return true;
}

/// For each kind of number: `ig_find_u32`, which fails when the field is missing or of another kind,
/// `ig_get_u32`, the current event's value, and for arrays `ig_find_u32_array` and `ig_get_u32_at`.
#define IGI_READ(name, type, stored, kind)                                                                   \
    static inline void ig_find_##name(ig_source *source, ig_field_##name *field, const char *field_name) {   \
        igi_find(source, &field->field, field_name, 1u << kind, sizeof(stored), false);                      \
    }                                                                                                        \
    static inline void ig_find_##name##_array(ig_source *source, ig_field_##name *field,                     \
                                              const char *field_name) {                                      \
        igi_find(source, &field->field, field_name, 1u << kind, sizeof(stored), true);                       \
    }                                                                                                        \
    static inline type igi_get_##name(const igi_field *field, uint32_t index) {                              \
        stored value = 0;                                                                                    \
        if (field->source == 0)                                                                              \
            return (type)value;                                                                              \
        const uint8_t *start =                                                                               \
            field->place == IGI_FIXED ? igi_record + field->offset : igi_column_value(field);                \
        if (start != 0)                                                                                      \
            __builtin_memcpy(&value, start + index * sizeof(stored), sizeof(stored));                        \
        return (type)value;                                                                                  \
    }                                                                                                        \
    static inline type ig_get_##name(const ig_field_##name *field) {                                         \
        return igi_get_##name(&field->field, 0);                                                             \
    }                                                                                                        \
    static inline type ig_get_##name##_at(const ig_field_##name *field, uint32_t index) {                    \
        if (index >= field->field.length)                                                                    \
            igi_stop(IGI_OUT_OF_ARRAY);                                                                      \
        return igi_get_##name(&field->field, index);                                                         \
    }
IGI_NUMBERS(IGI_READ)
#undef IGI_READ

// ---- Declaring what the program adds, in `ig_init` ----

#define IGI_EVENT_ROOM 32u // bytes for each event, in a column of the first batch
#define IGI_EVENT_ROOM_MAX 256u

/// Makes a new data source: give it fields with `ig_add_…`, then events with `ig_emit`.
static inline void ig_make_source(ig_source *source, const char *name) {
    igi_register(source, ig_string(name), true);
}

static void igi_add(ig_source *source, igi_column *column, const char *name, uint8_t kind, uint32_t width,
                    uint32_t length) {
    __builtin_memset(column, 0, sizeof(*column));
    column->about.name = ig_string(name);
    column->about.kind = kind;
    column->about.length = length;
    column->source = source;
    column->width = width * length;
    column->wanted = true;
    column->per_event = IGI_EVENT_ROOM;
    if (source->host == 0 && !source->is_made)
        return; // its source is missing, which was said
    if (!source->is_made)
        column->index = igi_column_count++;
    igi_column **end = &source->columns;
    while (*end != 0)
        end = &(*end)->next;
    *end = column;
}

/// Adds a field of text to a source, or replaces the one of that name. `name` is not copied: it must stay.
static inline void ig_add_text(ig_source *source, ig_column_text *column, const char *name) {
    igi_add(source, &column->column, name, IGI_TEXT, 0, 1);
}

static inline void ig_add_bytes(ig_source *source, ig_column_text *column, const char *name) {
    igi_add(source, &column->column, name, IGI_BYTES, 0, 1);
}

/// A list of strings, each ended by a NUL: written by `ig_append_item`, or piece by piece and
/// `ig_append_byte(…, 0)`.
static inline void ig_add_list(ig_source *source, ig_column_text *column, const char *name) {
    igi_add(source, &column->column, name, IGI_LIST, 0, 1);
}

static inline void *igi_grow_list(igi_list *list, uint32_t item_size) {
    list->items = igi_resize(list->items, list->count * item_size, (list->count + 1) * item_size);
    return (uint8_t *)list->items + item_size * list->count++;
}

static inline void igi_annotate(igi_column *column, const char *key, const char *value) {
    igi_pair *pair = (igi_pair *)igi_grow_list(&column->about.annotations, sizeof(igi_pair));
    pair->key = ig_string(key);
    pair->value = ig_string(value);
}

static inline void igi_tag(igi_column *column, const char *tag) {
    *(ig_bytes *)igi_grow_list(&column->about.tags, sizeof(ig_bytes)) = ig_string(tag);
}

/// Give a field that is added a description, an annotation as in gadget.yaml, a tag. Texts are not copied.
#define ig_describe(name, text) igi_annotate(&(name)->column, "description", text)
#define ig_annotate(name, key, value) igi_annotate(&(name)->column, key, value)
#define ig_tag(name, tag) igi_tag(&(name)->column, tag)

// ---- Making the patch ----

#define IGI_PATCH_VERSION 1u
#define IGI_HEAD_SIZE 24u
#define IGI_ENTRY_SIZE 12u

static igi_buffer igi_patch;      // kept from batch to batch
static ig_source *igi_processing; // the source of the current batch

/// Makes room for `size` bytes more. What the columns point to moves along.
static void igi_reserve_patch(uint32_t size) {
    uint8_t *before = igi_patch.start;
    igi_reserve(&igi_patch, size);
    if (igi_patch.start == before || igi_processing == 0)
        return;
    ptrdiff_t moved = igi_patch.start - before;
    for (igi_column *column = igi_processing->columns; column != 0; column = column->next) {
        if (column->values == 0)
            continue;
        column->values += moved;
        column->defined += moved;
        if (column->width == 0)
            column->offsets = (uint32_t *)((uint8_t *)column->offsets + moved);
    }
}

/// Takes `size` bytes at the end of the patch, rounded up to 8. Returns their position.
static uint32_t igi_take(uint32_t size) {
    uint32_t position = igi_patch.size;
    igi_reserve_patch(igi_align8(size));
    igi_patch.size += igi_align8(size);
    return position;
}

/// Makes room for `size` bytes more of a value: in the patch, behind what is there if that is the last, else
/// at the patch's end; in memory of its own if the module makes the source.
static __attribute__((noinline)) void igi_widen(igi_column *column, uint32_t size) {
    if (column->source->is_made) {
        column->values = (uint8_t *)igi_resize(column->values, column->used, column->used + size);
        column->room = igi_capacity(column->values);
        return;
    }
    uint32_t head = 4 * (column->source->count + 1);
    uint32_t room = igi_align8(head + column->used + size + column->room) - head;
    if (column->values + column->room == igi_patch.start + igi_patch.size) {
        igi_take(room - column->room);
    } else {
        uint32_t position = igi_take(head + room);
        __builtin_memcpy(igi_patch.start + position, column->offsets, head + column->used);
        column->offsets = (uint32_t *)(igi_patch.start + position);
        column->values = igi_patch.start + position + head;
    }
    column->room = room;
}

// ---- Writing the current event's values ----

/// Whether anything reads this field. If not, what is written is dropped: spare the work.
#define ig_wanted(name) ((name)->column.wanted)

/// Appends bytes to the current event's value. Also without any, the event has a value then: an empty one.
static inline void ig_append(ig_column_text *text, ig_bytes bytes) {
    igi_column *column = &text->column;
    if (column->values == 0)
        return;
    if (bytes.size > column->room - column->used)
        igi_widen(column, bytes.size);
    igi_copy(column->values + column->used, bytes.start, bytes.size);
    column->used += bytes.size;
    column->defined[column->source->row] = 1;
}

static inline void ig_append_byte(ig_column_text *text, uint8_t byte) {
    igi_column *column = &text->column;
    if (column->values == 0)
        return;
    if (column->used == column->room)
        igi_widen(column, 1);
    column->values[column->used++] = byte;
    column->defined[column->source->row] = 1;
}

static inline void ig_append_text(ig_column_text *text, const char *more) {
    ig_append(text, ig_string(more));
}

/// Appends a string to a list.
static inline void ig_append_item(ig_column_text *list, ig_bytes item) {
    ig_append(list, item);
    ig_append_byte(list, 0);
}

/// Appends a number in decimal digits.
static inline void ig_append_unsigned(ig_column_text *text, uint64_t value) {
    uint8_t digits[IGI_DIGITS];
    ig_bytes bytes = {igi_digits(digits, value, 10), 0};
    bytes.size = (uint32_t)(digits + IGI_DIGITS - bytes.start);
    ig_append(text, bytes);
}

static inline void ig_append_integer(ig_column_text *text, int64_t value) {
    if (value < 0)
        ig_append_byte(text, '-');
    ig_append_unsigned(text, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

/// Appends as printf does: %s %.*s %c %d %i %u %x %%, the sizes hh h l ll z, no widths, no floating point.
__attribute__((format(printf, 2, 3))) static inline void ig_append_format(ig_column_text *text,
                                                                          const char *format, ...) {
    static igi_buffer more;
    if (text->column.values == 0)
        return;
    more.size = 0;
    va_list values;
    va_start(values, format);
    igi_format(&more, format, values);
    va_end(values);
    ig_bytes bytes = {more.start, more.size};
    ig_append(text, bytes);
}

/// For each kind of number: `ig_add_u32` declares a field, `ig_set_u32` sets its value for the current event,
/// and for arrays `ig_add_u32_array` and `ig_set_u32_at`.
#define IGI_WRITE(name, type, stored, kind)                                                                  \
    static inline void ig_add_##name(ig_source *source, ig_column_##name *column, const char *field_name) {  \
        igi_add(source, &column->column, field_name, kind, sizeof(stored), 1);                               \
    }                                                                                                        \
    static inline void ig_add_##name##_array(ig_source *source, ig_column_##name *column,                    \
                                             const char *field_name, uint32_t length) {                      \
        igi_add(source, &column->column, field_name, kind, sizeof(stored), length);                          \
    }                                                                                                        \
    static inline void ig_set_##name(ig_column_##name *column, type value) {                                 \
        igi_column *all = &column->column;                                                                   \
        if (all->values == 0)                                                                                \
            return;                                                                                          \
        uint32_t row = all->source->row;                                                                     \
        ((stored *)all->values)[row * all->about.length] = (stored)value;                                    \
        all->defined[row] = 1;                                                                               \
    }                                                                                                        \
    static inline void ig_set_##name##_at(ig_column_##name *column, uint32_t index, type value) {            \
        igi_column *all = &column->column;                                                                   \
        if (index >= all->about.length)                                                                      \
            igi_stop(IGI_OUT_OF_ARRAY);                                                                      \
        if (all->values == 0)                                                                                \
            return;                                                                                          \
        uint32_t row = all->source->row;                                                                     \
        ((stored *)all->values)[row * all->about.length + index] = (stored)value;                            \
        all->defined[row] = 1;                                                                               \
    }
IGI_NUMBERS(IGI_WRITE)
#undef IGI_WRITE

// ---- Sources that the program makes ----

/// Starts an event of a source that is made: no values yet.
static void igi_begin_made(ig_source *source) {
    for (igi_column *column = source->columns; column != 0; column = column->next) {
        column->defined[source->row] = 0;
        if (column->about.length > 1)
            __builtin_memset(column->values + source->row * column->width, 0, column->width);
    }
}

/// Makes room for more events.
static void igi_widen_made(ig_source *source) {
    uint32_t count = source->count == 0 ? 16 : 2 * source->count;
    for (igi_column *column = source->columns; column != 0; column = column->next) {
        column->defined = (uint8_t *)igi_resize(column->defined, source->count, count);
        if (column->width > 0) {
            column->values =
                (uint8_t *)igi_resize(column->values, source->count * column->width, count * column->width);
            continue;
        }
        uint32_t used = source->count == 0 ? 0 : 4 * (source->count + 1);
        column->offsets = (uint32_t *)igi_resize(column->offsets, used, 4 * (count + 1));
        column->offsets[0] = 0;
        if (column->values == 0)
            igi_widen(column, 256);
    }
    source->count = count;
}

/// Emits an event of a source that the program made, with the values set since the last one.
static inline void ig_emit(ig_source *source) {
    if (!source->is_made || source->count == 0)
        return; // nothing can be emitted in ig_init
    uint32_t row = source->row++;
    for (igi_column *column = source->columns; column != 0; column = column->next)
        if (column->width == 0)
            column->offsets[row + 1] = column->used;
    if (source->row == source->count)
        igi_widen_made(source);
    igi_begin_made(source);
}

/// The most events in a block.
#define IGI_BLOCK_EVENTS 2048u

/// Writes a field of events `first` to `first + count` of a source that is made, and where it is.
static void igi_emit_column(const igi_column *column, uint32_t entry_position, uint32_t first,
                            uint32_t count) {
    bool any = false;
    for (uint32_t i = 0; i < count && !any; i++)
        any = column->defined[first + i] != 0;
    uint32_t entry[3] = {0, 0, 0};
    if (any) {
        uint32_t head = 0, start = first * column->width, size = count * column->width;
        if (column->width == 0) {
            head = 4 * (count + 1);
            start = column->offsets[first];
            size = column->offsets[first + count] - start;
        }
        entry[0] = igi_take(head + size);
        entry[1] = head + size;
        uint32_t *offsets = (uint32_t *)(igi_patch.start + entry[0]);
        for (uint32_t i = 0; i < head / 4; i++)
            offsets[i] = column->offsets[first + i] - start;
        __builtin_memcpy(igi_patch.start + entry[0] + head, column->values + start, size);
        entry[2] = igi_take(count);
        __builtin_memcpy(igi_patch.start + entry[2], column->defined + first, count);
    }
    __builtin_memcpy(igi_patch.start + entry_position, entry, sizeof(entry));
}

/// Writes what was emitted, and forgets it. Returns its position; 0 = nothing.
static uint32_t igi_write_emitted(void) {
    uint32_t size = 8, blocks = 0;
    for (ig_source *source = igi_first_source; source != 0; source = source->next) {
        uint32_t fields = 0;
        if (!source->is_made)
            continue;
        for (igi_column *column = source->columns; column != 0; column = column->next)
            fields++;
        uint32_t more = (source->row + IGI_BLOCK_EVENTS - 1) / IGI_BLOCK_EVENTS;
        blocks += more;
        size += more * (8 + IGI_ENTRY_SIZE * fields);
    }
    if (blocks == 0)
        return 0;
    uint32_t position = igi_take(size), at = position + 8;
    uint32_t head[2] = {blocks, 0};
    __builtin_memcpy(igi_patch.start + position, head, sizeof(head));
    for (ig_source *source = igi_first_source; source != 0; source = source->next) {
        if (!source->is_made)
            continue;
        for (uint32_t first = 0; first < source->row; first += IGI_BLOCK_EVENTS) {
            uint32_t count = source->row - first < IGI_BLOCK_EVENTS ? source->row - first : IGI_BLOCK_EVENTS;
            uint32_t block[2] = {source->id, count};
            __builtin_memcpy(igi_patch.start + at, block, sizeof(block));
            at += 8;
            for (igi_column *column = source->columns; column != 0; column = column->next) {
                igi_emit_column(column, at, first, count);
                at += IGI_ENTRY_SIZE;
            }
        }
        for (igi_column *column = source->columns; column != 0; column = column->next)
            column->used = 0;
        source->row = 0;
        igi_begin_made(source);
    }
    return position;
}

/// Writes the lines of the log, and forgets them. Returns their position; 0 = nothing.
static uint32_t igi_write_log(void) {
    uint32_t count = igi_lines.size / (uint32_t)sizeof(igi_line);
    if (count == 0)
        return 0;
    uint32_t position = igi_take(4 + igi_lines.size);
    uint32_t text = igi_take(igi_lines_text.size);
    igi_line *lines = (igi_line *)igi_lines.start;
    for (uint32_t i = 0; i < count; i++)
        lines[i].position += text;
    __builtin_memcpy(igi_patch.start + position, &count, 4);
    __builtin_memcpy(igi_patch.start + position + 4, lines, igi_lines.size);
    __builtin_memcpy(igi_patch.start + text, igi_lines_text.start, igi_lines_text.size);
    igi_lines.size = 0;
    igi_lines_text.size = 0;
    return position;
}

// ---- Batches ----

/// Whether all bytes are `value`.
static inline bool igi_all(const uint8_t *bytes, uint32_t count, uint8_t value) {
    uint32_t i = 0;
    for (; i + 8 <= count; i += 8) {
        uint64_t word;
        __builtin_memcpy(&word, bytes + i, 8);
        if (word != value * 0x0101010101010101u)
            return false;
    }
    for (; i < count; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

/// Finds the columns that came with a batch.
static void igi_bind_columns(ig_source *source, const uint8_t *batch, const uint8_t *trailer) {
    for (igi_field *field = source->column_fields; field != 0; field = field->next) {
        uint32_t entry[3]; // position, size, position of `defined`
        __builtin_memcpy(entry, trailer + 8 + IGI_ENTRY_SIZE * field->slot, sizeof(entry));
        field->values = entry[0] == 0 ? 0 : batch + entry[0];
        field->defined = entry[2] == 0 ? 0 : batch + entry[2];
    }
}

/// Lays out the patch as far as sizes are known, and tells the columns where they are. Returns the position
/// of `keep`.
static uint32_t igi_begin_batch(ig_source *source, uint32_t count) {
    uint32_t head = IGI_HEAD_SIZE + IGI_ENTRY_SIZE * igi_column_count;
    igi_patch.size = 0;
    igi_take(head);
    __builtin_memset(igi_patch.start, 0, head);
    uint32_t keep = igi_take(count);
    __builtin_memset(igi_patch.start + keep, 1, count);
    for (igi_column *column = source->columns; column != 0; column = column->next) {
        if (!column->wanted)
            continue;
        uint32_t heads = column->width == 0 ? 4 * (count + 1) : 0;
        uint32_t per_event = column->width == 0 ? column->per_event : column->width;
        uint32_t defined = igi_take(count);
        uint32_t values = igi_take(heads + count * per_event);
        __builtin_memset(igi_patch.start + defined, 0, count);
        if (column->about.length > 1)
            __builtin_memset(igi_patch.start + values, 0, count * per_event);
        column->defined = igi_patch.start + defined;
        column->values = igi_patch.start + values + heads;
        if (column->width > 0)
            continue;
        column->offsets = (uint32_t *)(igi_patch.start + values);
        column->offsets[0] = 0;
        column->used = 0;
        column->room = igi_patch.size - values - heads;
    }
    return keep;
}

/// Ends the current event: the ends of its values of differing size; what a dropped one wrote is taken back.
static inline void igi_end_event(ig_source *source, bool kept) {
    for (igi_column *column = source->columns; column != 0; column = column->next) {
        if (column->width > 0 || column->values == 0)
            continue;
        if (!kept) {
            column->used = column->offsets[source->row];
            column->defined[source->row] = 0;
        }
        column->offsets[source->row + 1] = column->used;
    }
}

/// Writes where a column is, and ends it. Returns whether it has a value.
static bool igi_end_column(igi_column *column, uint32_t count) {
    bool any = column->values != 0 && !igi_all(column->defined, count, 0);
    if (any) {
        uint32_t entry[3] = {(uint32_t)(column->values - igi_patch.start), count * column->width, 0};
        if (column->width == 0) {
            entry[0] = (uint32_t)((uint8_t *)column->offsets - igi_patch.start);
            entry[1] = 4 * (count + 1) + column->used;
            // The next batch gets room for what an event of this one had, and a quarter more; within limits,
            // as it may have many more events.
            uint32_t average = column->used / count;
            column->per_event = average < IGI_EVENT_ROOM_MAX ? average + average / 4 + 8 : IGI_EVENT_ROOM_MAX;
            if (entry[0] + 4 * (count + 1) + column->room == igi_patch.size)
                igi_patch.size = igi_align8(entry[0] + entry[1]);
        }
        if (!igi_all(column->defined, count, 1))
            entry[2] = (uint32_t)(column->defined - igi_patch.start);
        __builtin_memcpy(igi_patch.start + IGI_HEAD_SIZE + IGI_ENTRY_SIZE * column->index, entry,
                         sizeof(entry));
    }
    column->values = 0;
    return any;
}

/// Ends the patch; one that says nothing has no bytes.
static void igi_end_patch(uint32_t count, uint32_t columns, uint32_t keep, bool any) {
    igi_processing = 0;
    uint32_t emitted = igi_write_emitted();
    uint32_t log = igi_write_log();
    if (!any && keep == 0 && emitted == 0 && log == 0) {
        igi_patch.size = 0;
        return;
    }
    uint32_t head[6] = {IGI_PATCH_VERSION, count, keep, columns, emitted, log};
    __builtin_memcpy(igi_patch.start, head, sizeof(head));
}

/// Calls the handler for every event that is there. False when it failed.
static bool igi_run(ig_source *source, uint32_t count, const uint8_t *batch) {
    const uint32_t *offsets = (const uint32_t *)batch;
    const uint8_t *trailer = batch + offsets[count];
    uint32_t given = *(const uint32_t *)trailer;
    source->count = count;
    igi_processing = source;
    igi_bind_columns(source, batch, trailer);
    uint32_t keep = igi_begin_batch(source, count);
    for (uint32_t row = 0; row < count; row++) {
        source->row = row;
        bool kept = true; // what was dropped already needs not be dropped again
        if (given == 0 || batch[given + row] != 0) {
            igi_record = batch + offsets[row];
            igi_record_size = offsets[row + 1] - offsets[row];
            kept = source->on_event();
            if (igi_has_failed)
                return false;
            if (!kept)
                igi_patch.start[keep + row] = 0;
        }
        igi_end_event(source, kept);
    }
    bool any = false;
    for (igi_column *column = source->columns; column != 0; column = column->next)
        any |= igi_end_column(column, count);
    bool all = igi_all(igi_patch.start + keep, count, 1);
    igi_end_patch(count, igi_column_count, all ? 0 : keep, any);
    return true;
}

// ---- What the component exports, with the names and types that the canonical ABI gives its functions ----

#define IGI_EXPORT(name) __attribute__((used, export_name("ig:post-processor/processor@1.0.0#" name)))

static igi_result igi_answer;

static igi_result *igi_fail_answer(void) {
    igi_answer.is_error = 1;
    igi_answer.as.bytes.start = igi_failure.start;
    igi_answer.as.bytes.size = igi_failure.size;
    return &igi_answer;
}

static igi_result *igi_patch_answer(void) {
    igi_answer.is_error = 0;
    igi_answer.as.bytes.start = igi_patch.start;
    igi_answer.as.bytes.size = igi_patch.size;
    return &igi_answer;
}

/// Writes which columns the module adds to the gadget's sources, and which of their fields it reads.
static void igi_plan_sources(igi_plan *plan) {
    plan->columns.items = ig_alloc(igi_column_count * (uint32_t)sizeof(igi_new_column));
    plan->columns.count = igi_column_count;
    for (ig_source *source = igi_first_source; source != 0; source = source->next) {
        if (source->is_made)
            continue;
        for (igi_column *column = source->columns; column != 0; column = column->next) {
            igi_new_column entry = {source->id, column->about};
            ((igi_new_column *)plan->columns.items)[column->index] = entry;
        }
        uint32_t first = plan->reads.count;
        for (uint32_t i = 0; i < source->slots; i++)
            igi_grow_list(&plan->reads, sizeof(igi_read));
        for (igi_field *field = source->column_fields; field != 0; field = field->next) {
            igi_read read = {source->id, field->number};
            ((igi_read *)plan->reads.items)[first + field->slot] = read;
        }
    }
}

/// Writes the sources that the module makes, and gets them ready.
static void igi_plan_made(igi_plan *plan) {
    for (ig_source *source = igi_first_source; source != 0; source = source->next) {
        if (!source->is_made)
            continue;
        source->id = plan->emits.count;
        igi_new_source *made = (igi_new_source *)igi_grow_list(&plan->emits, sizeof(igi_new_source));
        igi_list fields = {0, 0};
        for (igi_column *column = source->columns; column != 0; column = column->next)
            *(igi_new_field *)igi_grow_list(&fields, sizeof(igi_new_field)) = column->about;
        made->name = source->name;
        made->fields = fields;
        igi_widen_made(source);
        igi_begin_made(source);
    }
}

void *cabi_realloc(void *block, uint32_t used, uint32_t align, uint32_t size);
__attribute__((used, export_name("cabi_realloc"))) void *cabi_realloc(void *block, uint32_t used,
                                                                      uint32_t align, uint32_t size) {
    if (size == 0)
        return (void *)(uintptr_t)align;
    if (used == 0)
        return ig_alloc(size);
    return igi_resize(block, used < size ? used : size, size);
}

void igi_call_constructors(void) __asm__("__wasm_call_ctors"); // by the linker: those of globals in C++

igi_result *igi_init(igi_pair *params, uint32_t param_count, igi_host_source *sources, uint32_t source_count,
                     uint32_t level);
IGI_EXPORT("init")
igi_result *igi_init(igi_pair *params, uint32_t param_count, igi_host_source *sources, uint32_t source_count,
                     uint32_t level) {
    igi_params.items = params;
    igi_params.count = param_count;
    igi_sources.items = sources;
    igi_sources.count = source_count;
    igi_level = level;
    igi_call_constructors();
    ig_init();
    if (igi_has_failed)
        return igi_fail_answer();
    igi_plan *plan = &igi_answer.as.plan; // zero, as all globals are
    igi_plan_sources(plan);
    igi_plan_made(plan);
    plan->tick_ms = igi_tick_ms;
    return &igi_answer;
}

void igi_select(uint8_t *used, uint32_t count);
IGI_EXPORT("select")
void igi_select(uint8_t *used, uint32_t count) {
    for (ig_source *source = igi_first_source; source != 0; source = source->next)
        for (igi_column *column = source->columns; column != 0 && !source->is_made; column = column->next)
            column->wanted = column->index < count && used[column->index] != 0;
    if (count > 0)
        ig_free(used);
}

igi_result *igi_process(uint32_t id, uint32_t count, uint8_t *batch, uint32_t size);
IGI_EXPORT("process")
igi_result *igi_process(uint32_t id, uint32_t count, uint8_t *batch, uint32_t size) {
    ig_source *source = igi_source_of(id);
    if (source != 0 && count > 0 && !igi_run(source, count, batch))
        return igi_fail_answer();
    if (source == 0 || count == 0)
        igi_patch.size = 0;
    if (size > 0)
        ig_free(batch);
    return igi_patch_answer();
}

/// Answers with a patch of no batch.
static igi_result *igi_answer_between(void) {
    if (igi_has_failed)
        return igi_fail_answer();
    igi_patch.size = 0;
    igi_take(IGI_HEAD_SIZE);
    igi_end_patch(0, 0, 0, false);
    return igi_patch_answer();
}

igi_result *igi_tick(uint64_t now);
IGI_EXPORT("tick") igi_result *igi_tick(uint64_t now) {
    if (igi_on_tick != 0)
        igi_on_tick(now);
    return igi_answer_between();
}

igi_result *igi_finish(void);
IGI_EXPORT("finish") igi_result *igi_finish(void) {
    if (igi_on_finish != 0)
        igi_on_finish();
    return igi_answer_between();
}

#ifdef __cplusplus
}
#define IGI_ASSERT static_assert
#else
#define IGI_ASSERT _Static_assert
#endif

IGI_ASSERT(sizeof(igi_host_field) == 44 && sizeof(igi_host_source) == 20 && sizeof(igi_new_field) == 32 &&
               sizeof(igi_new_column) == 36 && sizeof(igi_plan) == 28 && sizeof(igi_result) == 32,
           "the layout that the canonical ABI has on a 32-bit machine; compile with --target=wasm32");
#undef IGI_ASSERT

#endif

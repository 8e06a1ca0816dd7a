#include "resource/schema.h"

#include "base/timestamp.h"
#include "resource/format.h"
#include "resource/json_equality.h"
#include "resource/number.h"
#include "resource/pattern.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SHOWN_TEXT_MAX = 60,    // bytes of what a client sent that a message repeats
    SHOWN_CHOICES_MAX = 20, // values or names that a message lists
    POINTED_NAME_MAX = 200, // bytes of an unknown member's name that become part of a pointer
};

// ---- Places and faults ----

struct text json_path_pointer(const struct json_path *path, struct arena *arena) {
    enum { STEPS_MAX = JSON_MAX_DEPTH + 2 };
    const struct json_path *steps[STEPS_MAX];
    size_t count = 0;
    for (; path && count < STEPS_MAX; path = path->parent)
        steps[count++] = path;
    struct buffer pointer = {0};
    while (count > 0) {
        const struct json_path *step = steps[--count];
        if (step->name.data)
            json_pointer_append(&pointer, step->name);
        else
            buffer_format(&pointer, "/%zu", step->index);
    }
    struct text copy = {NULL, 0};
    if (!pointer.failed)
        copy = arena_copy(arena, buffer_text(&pointer));
    buffer_free(&pointer);
    return copy;
}

void schema_fault(struct faults *faults, const struct json_path *path, const char *format, ...) {
    char detail[600];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    struct text pointer = json_path_pointer(path, faults->arena);
    if (!pointer.data) {
        faults->out_of_memory = true;
        return;
    }
    struct text whole = text_whole_characters(text_from_string(size < 0 ? "" : detail));
    faults_add(faults, pointer, "%.*s", TEXT_ARGS(whole));
}

// A text cut to what a message shows of it.
static struct text shown(struct text text) {
    return text.size <= SHOWN_TEXT_MAX ? text
                                       : text_whole_characters(text_of(text.data, SHOWN_TEXT_MAX));
}

static const char *plural(int64_t count) {
    return count == 1 ? "" : "s";
}

static const char *ellipsis(struct text text) {
    return text.size > SHOWN_TEXT_MAX ? "…" : "";
}

void schema_fault_unknown(struct faults *faults, const struct json_path *parent, struct text owner,
                          const char *member, const struct text *names, size_t name_count) {
    struct text name = text_from_string(member);
    struct json_path path = {.parent = parent, .name = name};
    struct buffer list = {0};
    for (size_t i = 0; i < name_count && i < SHOWN_CHOICES_MAX; i++)
        buffer_format(&list, "%s%.*s", i ? ", " : "", TEXT_ARGS(names[i]));
    if (name_count > SHOWN_CHOICES_MAX)
        buffer_append_string(&list, ", …");
    if (list.failed)
        faults->out_of_memory = true;
    else if (name.size > POINTED_NAME_MAX)
        schema_fault(faults, parent, "\"%.*s…\" is not a property of %.*s; it has %.*s",
                     TEXT_ARGS(shown(name)), TEXT_ARGS(owner), TEXT_ARGS(buffer_text(&list)));
    else
        schema_fault(faults, &path, "is not a property of %.*s; it has %.*s", TEXT_ARGS(owner),
                     TEXT_ARGS(name_count ? buffer_text(&list) : TEXT("none")));
    buffer_free(&list);
}

// ---- Types ----

static const struct {
    unsigned type;
    const char *name;
} type_names[] = {
    {SCHEMA_STRING, "a string"},   {SCHEMA_INTEGER, "an integer"}, {SCHEMA_NUMBER, "a number"},
    {SCHEMA_BOOLEAN, "a boolean"}, {SCHEMA_OBJECT, "an object"},   {SCHEMA_ARRAY, "an array"},
    {SCHEMA_NULL, "null"},
};

void schema_append_types(struct buffer *out, unsigned types) {
    if (types & SCHEMA_NUMBER)
        types &= ~(unsigned)SCHEMA_INTEGER;
    for (size_t i = 0; i < sizeof type_names / sizeof *type_names; i++) {
        if (!(types & type_names[i].type))
            continue;
        types &= ~type_names[i].type;
        buffer_append_string(out, type_names[i].name);
        if (types)
            buffer_append_string(out, types & (types - 1) ? ", " : " or ");
    }
}

// The types that a value has: an integer is a number too, and so is 1.0 an integer.
static unsigned types_of(const json_t *value) {
    int64_t integer;
    switch (json_typeof(value)) {
    case JSON_OBJECT: return SCHEMA_OBJECT;
    case JSON_ARRAY: return SCHEMA_ARRAY;
    case JSON_STRING: return SCHEMA_STRING;
    case JSON_INTEGER: return SCHEMA_INTEGER | SCHEMA_NUMBER;
    case JSON_REAL:
        return number_to_integer(json_real_value(value), &integer) ? SCHEMA_INTEGER | SCHEMA_NUMBER
                                                                   : SCHEMA_NUMBER;
    case JSON_TRUE:
    case JSON_FALSE: return SCHEMA_BOOLEAN;
    case JSON_NULL: break;
    }
    return SCHEMA_NULL;
}

static void fault_type(const struct schema *schema, unsigned types, const struct json_path *path,
                       struct faults *faults) {
    struct buffer detail = {0};
    buffer_append_string(&detail, "must be ");
    if (schema->format == FORMAT_DECIMAL)
        buffer_append_string(&detail, "a decimal number in a string, such as \"12.5\"");
    else
        schema_append_types(&detail, schema->types);
    buffer_append_string(&detail, "; it is ");
    // A number beyond 64 bits is shown as what it is, though it is whole.
    schema_append_types(&detail,
                        types == (SCHEMA_INTEGER | SCHEMA_NUMBER) ? SCHEMA_INTEGER : types);
    if (types == SCHEMA_NUMBER && (schema->types & SCHEMA_INTEGER))
        buffer_append_string(&detail, " that is not whole or does not fit 64 bits");
    if (detail.failed)
        faults->out_of_memory = true;
    else
        schema_fault(faults, path, "%.*s", TEXT_ARGS(buffer_text(&detail)));
    buffer_free(&detail);
}

// ---- Equality ----

// Strings of a format are equal where they mean the same.
static bool is_equal_in(const struct schema *schema, const json_t *a, const json_t *b) {
    int64_t left;
    int64_t right;
    char left_uuid[36];
    char right_uuid[36];
    if (!json_is_string(a) || !json_is_string(b))
        return json_is_equal(a, b);
    struct text x = json_text(a);
    struct text y = json_text(b);
    switch (schema->format) {
    case FORMAT_DATE_TIME:
        return timestamp_parse(x, &left) && timestamp_parse(y, &right) && left == right;
    case FORMAT_UUID:
        return format_read_uuid(x, left_uuid) && format_read_uuid(y, right_uuid) &&
               memcmp(left_uuid, right_uuid, sizeof left_uuid) == 0;
    case FORMAT_DECIMAL:
        return format_read_decimal(x, schema->scale, &left) &&
               format_read_decimal(y, schema->scale, &right) && left == right;
    default: return text_equal(x, y);
    }
}

// ---- Numbers ----

struct bound {
    struct value limit;
    const char *words;
    bool above;  // the number must not be less than the limit
    bool itself; // the limit is allowed
};

static void append_number(struct buffer *out, struct value number) {
    char digits[32];
    if (number.kind == VALUE_INTEGER)
        buffer_append_integer(out, number.integer);
    else if (number.kind == VALUE_REAL)
        buffer_append(out, digits, json_format_real(number.real, digits));
    else
        buffer_append(out, digits, format_write_decimal(number.integer, number.scale, digits));
}

static void fault_number(struct faults *faults, const struct json_path *path, const char *words,
                         struct value limit, struct value number) {
    struct buffer detail = {0};
    buffer_format(&detail, "must be %s ", words);
    append_number(&detail, limit);
    buffer_append_string(&detail, "; it is ");
    append_number(&detail, number);
    if (detail.failed)
        faults->out_of_memory = true;
    else
        schema_fault(faults, path, "%.*s", TEXT_ARGS(buffer_text(&detail)));
    buffer_free(&detail);
}

static void check_number(const struct schema *schema, struct value number,
                         const struct json_path *path, struct faults *faults) {
    const struct bound bounds[] = {
        {schema->minimum, "at least", true, true},
        {schema->exclusive_minimum, "more than", true, false},
        {schema->maximum, "at most", false, true},
        {schema->exclusive_maximum, "less than", false, false},
    };
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        if (value_is_null(bounds[i].limit))
            continue;
        int order = number_compare(number, bounds[i].limit);
        if (order == 0 ? !bounds[i].itself : (order < 0) == bounds[i].above)
            fault_number(faults, path, bounds[i].words, bounds[i].limit, number);
    }
    if (!value_is_null(schema->multiple_of) && !number_is_multiple(number, schema->multiple_of))
        fault_number(faults, path, "a multiple of", schema->multiple_of, number);
}

// ---- Strings ----

static void check_length(const struct schema *schema, struct text text,
                         const struct json_path *path, struct faults *faults) {
    // A character has one to four bytes, so most lengths need no counting.
    bool may_be_long = schema->max_length >= 0 && text.size > (uint64_t)schema->max_length;
    bool may_be_short = text.size / 4 < (uint64_t)schema->min_length;
    if (!may_be_long && !may_be_short)
        return;
    int64_t length = (int64_t)text_utf8_length(text);
    if (schema->max_length >= 0 && length > schema->max_length)
        schema_fault(faults, path, "must be at most %lld character%s long; it has %lld",
                     (long long)schema->max_length, plural(schema->max_length), (long long)length);
    if (length < schema->min_length)
        schema_fault(faults, path, "must be at least %lld character%s long; it has %lld",
                     (long long)schema->min_length, plural(schema->min_length), (long long)length);
}

static void check_pattern(const struct schema *schema, struct text text,
                          const struct json_path *path, struct faults *faults) {
    switch (pattern_match(schema->pattern, text)) {
    case PATTERN_MATCHES: break;
    case PATTERN_NO_MEMORY: faults->out_of_memory = true; break;
    case PATTERN_DIFFERS:
        schema_fault(faults, path, "must match the pattern %.*s; it is \"%.*s%s\"",
                     TEXT_ARGS(schema->pattern_source), TEXT_ARGS(shown(text)), ellipsis(text));
        break;
    case PATTERN_TOO_COSTLY:
        schema_fault(faults, path, "must match the pattern %.*s; to find out would cost too much",
                     TEXT_ARGS(schema->pattern_source));
        break;
    }
}

static void check_decimal(const struct schema *schema, struct text text,
                          const struct json_path *path, struct faults *faults) {
    int64_t digits;
    if (format_read_decimal(text, schema->scale, &digits)) {
        check_number(schema, value_decimal(digits, schema->scale), path, faults);
        return;
    }
    char largest[21];
    size_t size = format_write_decimal(INT64_MAX, schema->scale, largest);
    if (schema->scale == 0)
        schema_fault(faults, path,
                     "must be a decimal number without a fraction, such as 12, up to %.*s; it is "
                     "\"%.*s%s\"",
                     (int)size, largest, TEXT_ARGS(shown(text)), ellipsis(text));
    else
        schema_fault(faults, path,
                     "must be a decimal number such as 12.5, with at most %d digit%s behind the "
                     "point, up to %.*s; it is \"%.*s%s\"",
                     schema->scale, plural(schema->scale), (int)size, largest,
                     TEXT_ARGS(shown(text)), ellipsis(text));
}

static bool is_date_time(struct text text) {
    int64_t ms;
    return timestamp_parse(text, &ms);
}

static bool is_uuid(struct text text) {
    char uuid[36];
    return format_read_uuid(text, uuid);
}

static const struct {
    bool (*fits)(struct text text);
    const char *words;
} formats[] = {
    [FORMAT_DATE_TIME] = {is_date_time,
                          "a date and time as RFC 3339 has it, such as 2016-08-05T08:40:51.620Z"},
    [FORMAT_DATE] = {date_is_valid, "a date that exists, such as 2016-08-05"},
    [FORMAT_UUID] = {is_uuid, "a UUID such as 0190163d-8694-739b-aea5-966c26f8ad91"},
    [FORMAT_URI] = {format_is_uri,
                    "an absolute URI as RFC 3986 has it, such as https://example.org/a"},
    [FORMAT_EMAIL] = {format_is_email, "an e-mail address such as ann@example.org"},
};

static void check_string(const struct schema *schema, struct text text,
                         const struct json_path *path, struct faults *faults) {
    check_length(schema, text, path, faults);
    if (schema->pattern)
        check_pattern(schema, text, path, faults);
    if (schema->format == FORMAT_DECIMAL)
        check_decimal(schema, text, path, faults);
    else if (schema->format != FORMAT_NONE && !formats[schema->format].fits(text))
        schema_fault(faults, path, "must be %s; it is \"%.*s%s\"", formats[schema->format].words,
                     TEXT_ARGS(shown(text)), ellipsis(text));
}

// ---- Arrays and objects ----

struct canonical_item {
    struct text bytes;
    size_t index;
};

static int compare_items(const void *a, const void *b) {
    const struct canonical_item *left = a;
    const struct canonical_item *right = b;
    int order = text_compare(left->bytes, right->bytes);
    return order ? order : (left->index > right->index) - (left->index < right->index);
}

// By sorting, so that a large array does not take the square of its length.
static void check_unique(const json_t *array, const struct json_path *path, struct faults *faults) {
    size_t count = json_array_size(array);
    struct buffer canonical = {0};
    struct canonical_item *items = calloc(count ? count : 1, sizeof *items);
    for (size_t i = 0; items && i < count; i++) {
        items[i] = (struct canonical_item){text_of(NULL, canonical.size), i};
        json_append_canonical(&canonical, json_array_get(array, i));
    }
    if (!items || canonical.failed) {
        faults->out_of_memory = true;
    } else {
        for (size_t i = 0; i < count; i++) {
            size_t start = items[i].bytes.size;
            size_t end = i + 1 < count ? items[i + 1].bytes.size : canonical.size;
            items[i].bytes = text_of(canonical.data + start, end - start);
        }
        qsort(items, count, sizeof *items, compare_items);
        for (size_t i = 1; i < count; i++) {
            if (text_equal(items[i - 1].bytes, items[i].bytes)) {
                schema_fault(faults, path, "must have no two equal items; %zu and %zu are",
                             items[i - 1].index, items[i].index);
                break;
            }
        }
    }
    free(items);
    buffer_free(&canonical);
}

static void check_array(const struct schema *schema, const json_t *array,
                        const struct json_path *path, struct faults *faults) {
    size_t count = json_array_size(array);
    if (schema->max_items >= 0 && count > (uint64_t)schema->max_items)
        schema_fault(faults, path, "must have at most %lld item%s; it has %zu",
                     (long long)schema->max_items, plural(schema->max_items), count);
    if (count < (uint64_t)schema->min_items)
        schema_fault(faults, path, "must have at least %lld item%s; it has %zu",
                     (long long)schema->min_items, plural(schema->min_items), count);
    for (size_t i = 0; schema->items && i < count && faults->count < FAULTS_MAX; i++) {
        struct json_path item = {.parent = path, .index = i};
        schema_check(schema->items, json_array_get(array, i), &item, faults);
    }
    if (schema->unique_items)
        check_unique(array, path, faults);
}

static const struct schema_member *find_member(const struct schema *schema, struct text name) {
    for (size_t i = 0; i < schema->member_count; i++) {
        if (text_equal(schema->members[i].name, name))
            return &schema->members[i];
    }
    return NULL;
}

static void fault_unknown_member(const struct schema *schema, const struct json_path *path,
                                 const char *name, struct faults *faults) {
    struct text names[SHOWN_CHOICES_MAX + 1];
    size_t count = 0;
    for (; count < schema->member_count && count < sizeof names / sizeof *names; count++)
        names[count] = schema->members[count].name;
    struct text owner = path && path->name.data ? path->name : TEXT("this object");
    schema_fault_unknown(faults, path, owner, name, names, count);
}

static void check_object(const struct schema *schema, const json_t *object,
                         const struct json_path *path, struct faults *faults) {
    if (!schema->has_members)
        return;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value) {
        const struct schema_member *member = find_member(schema, text_from_string(name));
        struct json_path place = {.parent = path, .name = text_from_string(name)};
        if (faults->count >= FAULTS_MAX)
            return;
        if (member)
            schema_check(&member->schema, value, &place, faults);
        else
            fault_unknown_member(schema, path, name, faults);
    }
    for (size_t i = 0; i < schema->member_count; i++) {
        const struct schema_member *member = &schema->members[i];
        struct json_path place = {.parent = path, .name = member->name};
        if (member->required && !json_object_get(object, member->name.data))
            schema_fault(faults, &place, "is required");
    }
}

// ---- The whole ----

static void append_choice(struct buffer *out, const json_t *choice) {
    struct json_writer writer = json_writer_on(out);
    struct text text = json_is_string(choice) ? json_text(choice) : TEXT("");
    if (json_is_object(choice) || json_is_array(choice))
        buffer_append_string(out, json_is_object(choice) ? "{…}" : "[…]");
    else if (text.size > SHOWN_TEXT_MAX)
        buffer_format(out, "\"%.*s…\"", TEXT_ARGS(shown(text)));
    else
        json_write_tree(&writer, choice);
}

static void append_choices(struct buffer *out, const json_t *choices) {
    size_t count = json_array_size(choices);
    for (size_t i = 0; i < count && i < SHOWN_CHOICES_MAX; i++) {
        buffer_append_string(out, i ? ", " : "");
        append_choice(out, json_array_get(choices, i));
    }
    if (count > SHOWN_CHOICES_MAX)
        buffer_append_string(out, ", …");
}

// `detail` says what would be right.
static void fault_choice(struct faults *faults, const struct json_path *path, struct buffer *detail,
                         const json_t *value) {
    buffer_append_string(detail, "; it is ");
    append_choice(detail, value);
    if (detail->failed)
        faults->out_of_memory = true;
    else
        schema_fault(faults, path, "%.*s", TEXT_ARGS(buffer_text(detail)));
    buffer_free(detail);
}

static bool is_one_of(const struct schema *schema, const json_t *value) {
    for (size_t i = 0; i < json_array_size(schema->enumeration); i++) {
        if (is_equal_in(schema, json_array_get(schema->enumeration, i), value))
            return true;
    }
    return false;
}

static void check_choices(const struct schema *schema, const json_t *value,
                          const struct json_path *path, struct faults *faults) {
    struct buffer detail = {0};
    if (schema->enumeration && !is_one_of(schema, value)) {
        buffer_append_string(&detail, "must be one of ");
        append_choices(&detail, schema->enumeration);
        fault_choice(faults, path, &detail, value);
    }
    if (schema->constant && !is_equal_in(schema, schema->constant, value)) {
        buffer_append_string(&detail, "must be ");
        append_choice(&detail, schema->constant);
        fault_choice(faults, path, &detail, value);
    }
}

void schema_check(const struct schema *schema, const json_t *value, const struct json_path *path,
                  struct faults *faults) {
    unsigned types = types_of(value);
    if (!(schema->types & types)) {
        fault_type(schema, types, path, faults);
        return;
    }
    if (types & SCHEMA_NUMBER)
        check_number(schema, number_from_json(value), path, faults);
    else if (types & SCHEMA_STRING)
        check_string(schema, json_text(value), path, faults);
    else if (types & SCHEMA_ARRAY)
        check_array(schema, value, path, faults);
    else if (types & SCHEMA_OBJECT)
        check_object(schema, value, path, faults);
    if (schema->enumeration || schema->constant)
        check_choices(schema, value, path, faults);
}

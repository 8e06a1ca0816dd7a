#include "resource/property_value.h"

#include "base/digest.h"
#include "base/timestamp.h"
#include "resource/encode.h"
#include "resource/format.h"
#include "resource/number.h"

void property_check(const struct property *property, const json_t *value,
                    const struct json_path *path, struct faults *faults) {
    size_t before = faults->count;
    schema_check(&property->schema, value, path, faults);
    double real;
    unsigned char digest[DIGEST_SIZE];
    if (property->kind == VALUE_BYTES && json_is_string(value) && faults->count == before &&
        !text_hex_decode(json_text(value), digest, sizeof digest))
        schema_fault(faults, path, "must be 64 hexadecimal digits");
    if (property->kind == VALUE_REAL && json_is_integer(value) &&
        !number_to_real(json_integer_value(value), &real))
        schema_fault(faults, path,
                     "is stored as a double, which cannot hold the integer %lld; the nearest is "
                     "%.0f",
                     (long long)json_integer_value(value), (double)json_integer_value(value));
}

// A value as a JSON tree; NULL when there is no memory.
static json_t *value_tree(const struct property *property, struct value value) {
    struct buffer json = {0};
    struct json_writer writer = json_writer_on(&json);
    struct failure failure;
    encode_value(&writer, property, value);
    json_t *tree = json.failed ? NULL : json_read(buffer_text(&json), &failure);
    buffer_free(&json);
    return tree;
}

void property_check_value(const struct property *property, struct value value,
                          const struct json_path *path, struct faults *faults) {
    if (value_is_null(value)) {
        if (property->required)
            schema_fault(faults, path, "is required");
        return;
    }
    json_t *tree = value_tree(property, value);
    if (tree)
        property_check(property, tree, path, faults);
    else
        faults->out_of_memory = true;
    json_decref(tree);
}

static bool text_value(enum value_kind kind, struct arena *arena, const char *bytes, size_t size,
                       struct value *ret_value) {
    struct text copy = arena_copy(arena, text_of(bytes, size));
    if (!copy.data)
        return false;
    *ret_value = value_text(kind, copy);
    return true;
}

static bool timestamp_value(struct text text, struct arena *arena, struct value *ret_value) {
    int64_t ms = 0;
    char canonical[TIMESTAMP_SIZE];
    timestamp_parse(text, &ms);
    timestamp_format(ms, canonical);
    return text_value(VALUE_TIMESTAMP, arena, canonical, sizeof canonical, ret_value);
}

static bool uuid_value(struct text text, struct arena *arena, struct value *ret_value) {
    char canonical[36] = {0};
    format_read_uuid(text, canonical);
    return text_value(VALUE_UUID, arena, canonical, sizeof canonical, ret_value);
}

static bool digest_value(struct text text, struct arena *arena, struct value *ret_value) {
    char digest[DIGEST_SIZE] = {0};
    text_hex_decode(text, digest, sizeof digest);
    return text_value(VALUE_BYTES, arena, digest, sizeof digest, ret_value);
}

static bool json_value(const json_t *value, struct arena *arena, struct value *ret_value) {
    struct buffer out = {0};
    struct json_writer writer = json_writer_on(&out);
    json_write_tree(&writer, value);
    bool written = !out.failed && text_value(VALUE_JSON, arena, out.data, out.size, ret_value);
    buffer_free(&out);
    return written;
}

static struct value integer_value(const json_t *value) {
    int64_t integer = json_integer_value(value);
    if (json_is_real(value))
        number_to_integer(json_real_value(value), &integer);
    return value_integer(integer);
}

// Minus zero becomes zero: not every database keeps it.
static struct value real_value(const json_t *value) {
    return value_real(json_number_value(value) + 0.0);
}

bool property_value(const struct property *property, const json_t *value, struct arena *arena,
                    struct value *ret_value) {
    int64_t digits = 0;
    switch (property->kind) {
    case VALUE_BOOLEAN: *ret_value = value_boolean(json_is_true(value)); return true;
    case VALUE_INTEGER: *ret_value = integer_value(value); return true;
    case VALUE_REAL: *ret_value = real_value(value); return true;
    case VALUE_DECIMAL:
        format_read_decimal(json_text(value), property->scale, &digits);
        *ret_value = value_decimal(digits, property->scale);
        return true;
    case VALUE_TIMESTAMP: return timestamp_value(json_text(value), arena, ret_value);
    case VALUE_UUID: return uuid_value(json_text(value), arena, ret_value);
    case VALUE_BYTES: return digest_value(json_text(value), arena, ret_value);
    case VALUE_JSON: return json_value(value, arena, ret_value);
    default: *ret_value = value_text(property->kind, json_text(value)); return true;
    }
}

#include "resource/encode.h"

#include "base/table.h"
#include "base/timestamp.h"
#include "resource/format.h"

#include <inttypes.h>

enum { SHORT_MAX = 62 };

// A string of a form that has nothing to escape.
static void write_plain(struct json_writer *writer, struct text text) {
    char quoted[SHORT_MAX + 2];
    if (text.size > SHORT_MAX) {
        json_write_string(writer, text);
        return;
    }
    quoted[0] = '"';
    memcpy(quoted + 1, text.data, text.size);
    quoted[text.size + 1] = '"';
    json_write_raw(writer, text_of(quoted, text.size + 2));
}

static void write_hex(struct json_writer *writer, struct text bytes) {
    struct buffer *out = writer->out;
    json_write_raw(writer, TEXT("\"")); // the comma too; the rest follows in the buffer
    if (buffer_reserve(out, 2 * bytes.size)) {
        text_hex_encode(bytes.data, bytes.size, out->data + out->size);
        out->size += 2 * bytes.size;
    }
    buffer_append_byte(out, '"');
}

static void write_decimal(struct json_writer *writer, struct value value) {
    char digits[21];
    size_t size = format_write_decimal(value.integer, value.scale, digits);
    write_plain(writer, text_of(digits, size));
}

static void write_value(struct json_writer *writer, struct value value) {
    switch (value.kind) {
    case VALUE_BOOLEAN: json_write_boolean(writer, value.boolean); break;
    case VALUE_INTEGER: json_write_integer(writer, value.integer); break;
    case VALUE_REAL: json_write_real(writer, value.real); break;
    case VALUE_DECIMAL: write_decimal(writer, value); break;
    case VALUE_TEXT: json_write_string(writer, value.text); break;
    case VALUE_BYTES: write_hex(writer, value.text); break;
    case VALUE_TIMESTAMP:
    case VALUE_DATE:
    case VALUE_UUID: write_plain(writer, value.text); break;
    case VALUE_JSON: json_write_raw(writer, value.text); break;
    case VALUE_NULL:
    case VALUE_KINDS: json_write_null(writer); break;
    }
}

void encode_value(struct json_writer *writer, const struct property *property, struct value value) {
    write_value(writer, value);
}

// Goes up when this file writes anything in another way than before.
enum { ENCODING_VERSION = 1 };

uint64_t selection_shape(const struct selection *selection) {
    uint64_t shape = ENCODING_VERSION;
    for (size_t i = 0; i < selection->shown; i++) {
        const struct property *property = selection->properties[i];
        shape = hash_mix(shape, text_hash(property->name));
        shape = hash_mix(shape, (uint64_t)property->kind << 8 | property->scale);
    }
    return shape;
}

void encode_members(struct json_writer *writer, const struct selection *selection,
                    const struct value *cells) {
    for (size_t i = 0; i < selection->shown; i++) {
        json_write_prepared_name(writer, selection->properties[i]->prepared_name);
        write_value(writer, cells[i]);
    }
}

void encode_record(struct json_writer *writer, const struct selection *selection,
                   const struct value *cells) {
    json_write_object_begin(writer);
    encode_members(writer, selection, cells);
    json_write_object_end(writer);
}

// No property has this name, since theirs begin with a letter.
static void write_embedded(struct json_writer *writer, const struct expansions *expansions,
                           const struct value *cells) {
    json_write_prepared_name(writer, TEXT("\"_embedded\":"));
    json_write_object_begin(writer);
    for (size_t i = 0; i < expansions->count; i++) {
        const struct expansion *expansion = &expansions->items[i];
        json_write_prepared_name(writer, expansion->property->prepared_name);
        if (value_is_null(cells[expansion->key]))
            json_write_null(writer);
        else
            encode_record(writer, &expansion->selection, cells);
        cells += expansion->selection.count;
    }
    json_write_object_end(writer);
}

void encode_expanded(struct json_writer *writer, const struct selection *selection,
                     const struct value *cells, const struct expansions *expansions,
                     const struct value *embedded) {
    json_write_object_begin(writer);
    encode_members(writer, selection, cells);
    if (expansions->count)
        write_embedded(writer, expansions, embedded);
    json_write_object_end(writer);
}

bool value_equal(struct value a, struct value b) {
    if (a.kind != b.kind)
        return false;
    switch (a.kind) {
    case VALUE_NULL: return true;
    case VALUE_BOOLEAN: return a.boolean == b.boolean;
    case VALUE_REAL: return a.real >= b.real && a.real <= b.real;
    case VALUE_INTEGER:
    case VALUE_DECIMAL: return a.integer == b.integer;
    default: return text_equal(a.text, b.text);
    }
}

bool value_copy(struct arena *arena, struct value value, struct value *ret_copy) {
    if (value.kind == VALUE_BYTES || value_kind_has_text(value.kind)) {
        value.text = arena_copy(arena, value.text);
        if (!value.text.data)
            return false;
    }
    *ret_copy = value;
    return true;
}

// Percent-encodes all but the unreserved characters of RFC 3986 section 2.3.
static void append_encoded(struct buffer *out, struct text text) {
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        char lower = (char)(c | 0x20);
        if ((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
            c == '_' || c == '~')
            buffer_append_byte(out, c);
        else
            buffer_append(out, (char[]){'%', digits[(c >> 4) & 15], digits[c & 15]}, 3);
    }
}

struct text key_text(struct arena *arena, struct value value) {
    if (value.kind == VALUE_INTEGER)
        return arena_format(arena, "%" PRId64, value.integer);
    if (value.kind != VALUE_BYTES)
        return arena_copy(arena, value.text);
    char *hex = arena_allocate(arena, 2 * value.text.size);
    if (!hex)
        return (struct text){NULL, 0};
    text_hex_encode(value.text.data, value.text.size, hex);
    return text_of(hex, 2 * value.text.size);
}

void encode_key(struct buffer *out, const struct property *property, struct value value) {
    if (value.kind == VALUE_INTEGER) {
        buffer_append_integer(out, value.integer);
    } else if (value.kind == VALUE_BYTES) {
        if (buffer_reserve(out, 2 * value.text.size)) {
            text_hex_encode(value.text.data, value.text.size, out->data + out->size);
            out->size += 2 * value.text.size;
        }
    } else {
        append_encoded(out, value.text);
    }
}

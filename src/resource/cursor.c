#include "resource/cursor.h"

#include "base/buffer.h"
#include "base/digest.h"

#include <math.h>

enum { CURSOR_VERSION = 1 };

enum direction { DIRECTION_FORWARD, DIRECTION_BACKWARD };

// ---- base64url ----

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static struct text base64url_encode(struct arena *arena, struct text bytes) {
    const unsigned char *in = (const unsigned char *)bytes.data;
    size_t size = bytes.size / 3 * 4 + (bytes.size % 3 ? bytes.size % 3 + 1 : 0);
    char *out = arena_allocate(arena, size + 1);
    if (!out)
        return (struct text){NULL, 0};
    for (size_t i = 0; i < size; i++) {
        size_t bit = i * 6;
        unsigned pair = (unsigned)in[bit / 8] << 8;
        if (bit / 8 + 1 < bytes.size)
            pair |= in[bit / 8 + 1];
        out[i] = alphabet[pair >> (10 - bit % 8) & 63];
    }
    out[size] = '\0';
    return text_of(out, size);
}

static int sextet(char digit) {
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    if (digit == '-')
        return 62;
    return digit == '_' ? 63 : -1;
}

// Decodes into `out`, which has room for as many bytes as the text. False where it is none. Bits
// that are left over must be zero, so that no two texts stand for the same bytes.
static bool base64url_decode(struct text text, unsigned char *out, size_t *ret_size) {
    size_t size = 0;
    unsigned bits = 0;
    unsigned bit_count = 0;
    for (size_t i = 0; i < text.size; i++) {
        int digit = sextet(text.data[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (unsigned)digit;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            out[size++] = (unsigned char)(bits >> bit_count);
            bits &= (1U << bit_count) - 1;
        }
    }
    *ret_size = size;
    return bits == 0 && text.size % 4 != 1;
}

// ---- What is inside ----

// Seven bits a byte, the lowest first; negative numbers are folded between the others.
static void append_varint(struct buffer *out, uint64_t number) {
    while (number >= 0x80) {
        buffer_append_byte(out, (char)(unsigned char)(number | 0x80));
        number >>= 7;
    }
    buffer_append_byte(out, (char)number);
}

static void append_signed(struct buffer *out, int64_t number) {
    append_varint(out, (uint64_t)number << 1 ^ (number < 0 ? UINT64_MAX : 0));
}

static void append_value(struct buffer *out, struct value value) {
    buffer_append_byte(out, (char)value.kind);
    switch (value.kind) {
    case VALUE_NULL: break;
    case VALUE_BOOLEAN: buffer_append_byte(out, value.boolean); break;
    case VALUE_INTEGER: append_signed(out, value.integer); break;
    case VALUE_DECIMAL:
        buffer_append_byte(out, (char)value.scale);
        append_signed(out, value.integer);
        break;
    case VALUE_REAL: buffer_append(out, &value.real, sizeof value.real); break;
    default:
        append_varint(out, value.text.size);
        buffer_append_text(out, value.text);
        break;
    }
}

static bool take_bytes(struct text *rest, void *out, size_t size) {
    if (rest->size < size)
        return false;
    memcpy(out, rest->data, size);
    *rest = text_from(*rest, size);
    return true;
}

static bool take_varint(struct text *rest, uint64_t *ret_number) {
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned char byte;
        if (!take_bytes(rest, &byte, 1))
            return false;
        number |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80)) {
            *ret_number = number;
            return shift < 63 || byte <= 1;
        }
    }
    return false;
}

static bool take_signed(struct text *rest, int64_t *ret_number) {
    uint64_t folded;
    if (!take_varint(rest, &folded))
        return false;
    *ret_number = (int64_t)(folded >> 1 ^ (folded & 1 ? UINT64_MAX : 0));
    return true;
}

static bool take_text(struct text *rest, enum value_kind kind, struct text *ret_text) {
    uint64_t size;
    if (!take_varint(rest, &size) || size > rest->size)
        return false;
    *ret_text = text_of(rest->data, (size_t)size);
    *rest = text_from(*rest, (size_t)size);
    return kind == VALUE_BYTES || text_is_utf8(*ret_text);
}

// A value of the kind that the property has now: a definition may have changed since the cursor was
// made.
static bool take_value(struct text *rest, const struct property *property,
                       struct value *ret_value) {
    unsigned char kind;
    unsigned char byte;
    if (!take_bytes(rest, &kind, 1) || (kind != VALUE_NULL && kind != property->kind))
        return false;
    *ret_value = (struct value){.kind = (enum value_kind)kind};
    switch (ret_value->kind) {
    case VALUE_NULL: return true;
    case VALUE_BOOLEAN:
        if (!take_bytes(rest, &byte, 1) || byte > 1)
            return false;
        ret_value->boolean = byte;
        return true;
    case VALUE_INTEGER: return take_signed(rest, &ret_value->integer);
    case VALUE_DECIMAL:
        ret_value->scale = property->scale;
        return take_bytes(rest, &byte, 1) && byte == property->scale &&
               take_signed(rest, &ret_value->integer);
    case VALUE_REAL:
        return take_bytes(rest, &ret_value->real, sizeof ret_value->real) &&
               isfinite(ret_value->real);
    default: return take_text(rest, ret_value->kind, &ret_value->text);
    }
}

static bool take_position(const struct query *query, struct text *rest, struct value *position) {
    for (size_t i = 0; i < query->sort_count; i++) {
        const struct property *property = query->sort[i].property;
        if (!take_value(rest, property, &position[i]))
            return false;
        if (value_is_null(position[i]) && property == query->resource->key.property)
            return false;
    }
    return rest->size == 0;
}

// ---- The seal ----

// The payload's size goes first, so that no other split into payload and arguments has this seal.
static bool make_seal(struct text payload, struct text arguments, struct text cursor_key,
                      unsigned char seal[DIGEST_SIZE]) {
    struct buffer sealed = {0};
    append_varint(&sealed, payload.size);
    buffer_append_text(&sealed, payload);
    buffer_append_text(&sealed, arguments);
    bool made = !sealed.failed && digest_hmac(cursor_key, buffer_text(&sealed), seal);
    buffer_free(&sealed);
    return made;
}

struct text cursor_write(const struct query *query, const struct value *position, bool backward,
                         struct text cursor_key, struct arena *arena) {
    struct buffer payload = {0};
    buffer_append_byte(&payload, CURSOR_VERSION);
    buffer_append_byte(&payload, backward ? DIRECTION_BACKWARD : DIRECTION_FORWARD);
    for (size_t i = 0; i < query->sort_count; i++)
        append_value(&payload, position[i]);
    unsigned char seal[DIGEST_SIZE];
    struct text cursor = {NULL, 0};
    if (!payload.failed && make_seal(buffer_text(&payload), query->arguments, cursor_key, seal)) {
        buffer_append(&payload, seal, CURSOR_SEAL_SIZE);
        if (!payload.failed)
            cursor = base64url_encode(arena, buffer_text(&payload));
    }
    buffer_free(&payload);
    return cursor;
}

static bool refuse(struct failure *failure) {
    return failure_set(failure, FAILURE_INVALID_CURSOR,
                       "cursor was altered, or belongs to a list with another filter or order: "
                       "begin again without it");
}

bool cursor_read(const struct query *query, struct text cursor, struct text cursor_key,
                 struct arena *arena, struct value **ret_position, bool *ret_backward,
                 struct failure *failure) {
    struct value *position = arena_allocate_zero(arena, query->sort_count, sizeof *position);
    unsigned char *bytes = arena_allocate(arena, cursor.size);
    size_t size;
    if (!position || !bytes)
        return failure_out_of_memory(failure);
    if (!base64url_decode(cursor, bytes, &size) || size < CURSOR_SEAL_SIZE)
        return refuse(failure);
    struct text payload = text_of((const char *)bytes, size - CURSOR_SEAL_SIZE);
    unsigned char seal[DIGEST_SIZE];
    if (!make_seal(payload, query->arguments, cursor_key, seal))
        return failure_out_of_memory(failure);
    if (!digest_equal(seal, bytes + payload.size, CURSOR_SEAL_SIZE))
        return refuse(failure);
    unsigned char head[2];
    if (!take_bytes(&payload, head, sizeof head) || head[0] != CURSOR_VERSION ||
        head[1] > DIRECTION_BACKWARD || !take_position(query, &payload, position))
        return refuse(failure);
    *ret_position = position;
    *ret_backward = head[1] == DIRECTION_BACKWARD;
    return true;
}

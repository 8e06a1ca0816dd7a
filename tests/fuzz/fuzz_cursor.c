// Cursors: the input as it is, which must be refused, and the input as the inside of one that is
// sealed with the right key, which must be read with care and, if it is taken, means the same
// again.
#include "fuzz/fuzz.h"

#include "base/buffer.h"
#include "base/digest.h"
#include "resource/cursor.h"

#include <stdlib.h>

static const struct text cursor_key = TEXT_INIT("the key of the cursors");

static const struct {
    enum value_kind kind;
    uint8_t scale;
} kinds[] = {
    {VALUE_TEXT, 0},      {VALUE_BOOLEAN, 0}, {VALUE_REAL, 0}, {VALUE_DECIMAL, 2},
    {VALUE_TIMESTAMP, 0}, {VALUE_BYTES, 0},   {VALUE_UUID, 0}, {VALUE_INTEGER, 0},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

static void require(bool condition) {
    if (!condition)
        abort();
}

static bool read(const struct query *query, struct text cursor, struct arena *arena,
                 struct value **ret_position, bool *ret_backward) {
    struct failure failure = {0};
    bool done = cursor_read(query, cursor, cursor_key, arena, ret_position, ret_backward, &failure);
    require(done || failure.code == FAILURE_INVALID_CURSOR);
    return done;
}

static struct text encode(struct arena *arena, struct text bytes) {
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    struct buffer out = {0};
    unsigned bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        bits = (bits << 8 | (unsigned char)bytes.data[i]) & 0xFFFF;
        for (count += 8; count >= 6; count -= 6)
            buffer_append_byte(&out, alphabet[bits >> (count - 6) & 63]);
    }
    if (count > 0)
        buffer_append_byte(&out, alphabet[bits << (6 - count) & 63]);
    struct text copy = arena_copy(arena, buffer_text(&out));
    buffer_free(&out);
    return copy;
}

static struct text seal(struct arena *arena, struct text payload, struct text arguments) {
    struct buffer sealed = {0};
    unsigned char digest[DIGEST_SIZE];
    size_t size = payload.size;
    for (; size >= 0x80; size >>= 7)
        buffer_append_byte(&sealed, (char)(unsigned char)(size | 0x80));
    buffer_append_byte(&sealed, (char)size);
    buffer_append_text(&sealed, payload);
    buffer_append_text(&sealed, arguments);
    require(digest_hmac(cursor_key, buffer_text(&sealed), digest));
    buffer_clear(&sealed);
    buffer_append_text(&sealed, payload);
    buffer_append(&sealed, digest, CURSOR_SEAL_SIZE);
    struct text cursor = encode(arena, buffer_text(&sealed));
    buffer_free(&sealed);
    return cursor;
}

static void check(const struct query *query, struct text input, struct arena *arena) {
    struct value *position;
    struct value *again;
    bool backward;
    bool direction;
    require(!read(query, input, arena, &position, &backward));
    if (!read(query, seal(arena, input, query->arguments), arena, &position, &backward))
        return;
    struct text cursor = cursor_write(query, position, backward, cursor_key, arena);
    require(read(query, cursor, arena, &again, &direction));
    require(direction == backward);
    require(text_equal(cursor, cursor_write(query, again, direction, cursor_key, arena)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = {0};
    struct property properties[KINDS];
    struct sort_key sort[KINDS];
    struct resource resource = {.properties = properties, .property_count = KINDS};
    for (size_t i = 0; i < KINDS; i++) {
        properties[i] = (struct property){.kind = kinds[i].kind, .scale = kinds[i].scale};
        sort[i] = (struct sort_key){&properties[i], false};
    }
    resource.key.property = &properties[KINDS - 1];
    const struct query query = {.resource = &resource,
                                .sort = sort,
                                .sort_count = KINDS,
                                .arguments = TEXT("the arguments")};
    check(&query, text_of((const char *)data, size), &arena);
    arena_free(&arena);
    return 0;
}

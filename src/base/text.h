// A text is a borrowed run of bytes with a length: it owns nothing, and lives as long as what it
// points into. Texts are not zero-terminated unless a function says so.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
    const char *data;
    size_t size;
};

// A text of a string literal; usable in initialisers.
#define TEXT(literal) ((struct text){"" literal, sizeof(literal) - 1})
#define TEXT_INIT(literal)                                                                         \
    { "" literal, sizeof(literal) - 1 }

// For printf: "%.*s", TEXT_ARGS(t).
#define TEXT_ARGS(t) (int)(t).size, (t).data

static inline struct text text_of(const char *data, size_t size) {
    return (struct text){data, size};
}

// A text of a zero-terminated string; NULL gives the empty text.
static inline struct text text_from_string(const char *string) {
    return (struct text){string, string ? strlen(string) : 0};
}

static inline bool text_equal(struct text a, struct text b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool text_is(struct text a, const char *string) {
    return text_equal(a, text_from_string(string));
}

static inline bool text_starts_with(struct text a, struct text prefix) {
    return a.size >= prefix.size && (prefix.size == 0 || !memcmp(a.data, prefix.data, prefix.size));
}

// The rest of a text from a byte offset, which must not be beyond its end.
static inline struct text text_from(struct text a, size_t offset) {
    // Nothing may be added to a null pointer, not even 0.
    return (struct text){offset ? a.data + offset : a.data, a.size - offset};
}

// Equal when ASCII letters are taken without case; other bytes must be the same.
bool text_equal_ignoring_case(struct text a, struct text b);

// Byte order, which for UTF-8 is the order of the code points: <0, 0, >0.
int text_compare(struct text a, struct text b);

// The offset of the first `byte`, or -1.
ptrdiff_t text_find(struct text a, char byte);

// Without the spaces and tabs at both ends.
struct text text_trim(struct text a);

// Takes what stands before the first `separator` off the front of `rest`, and the separator too.
// Returns false when `rest` was used up before (its data is NULL then); an empty text yields once.
bool text_split(struct text *rest, char separator, struct text *ret_part);

// A whole decimal integer, "-" allowed, no "+", no white space, no leading zeros unless it is "0".
// False where it is not one or does not fit 64 bits.
bool text_to_integer(struct text a, int64_t *ret_value);

// Whether the bytes are well-formed UTF-8 (RFC 3629: no surrogates, nothing over U+10FFFF).
bool text_is_utf8(struct text a);

// The bytes of the well-formed character at the front of a non-empty text, 1 to 4; 0 where there is
// none.
size_t text_utf8_size(struct text a);

// Without the beginning of a character at its end, which is what cutting UTF-8 anywhere may leave.
struct text text_whole_characters(struct text a);

// How many code points well-formed UTF-8 has.
size_t text_utf8_length(struct text a);

// Writes one code point as UTF-8 and returns its 1 to 4 bytes; the code point must be valid.
size_t text_utf8_encode(uint32_t code_point, char out[4]);

// Reads the code point at the front of non-empty well-formed UTF-8; `ret_size` gets its bytes.
uint32_t text_utf8_decode(struct text a, size_t *ret_size);

// 2 * size lower-case hexadecimal digits, not terminated.
void text_hex_encode(const void *bytes, size_t size, char *out);

// Reads exactly 2 * size hexadecimal digits of either case; false for anything else.
bool text_hex_decode(struct text hex, void *out, size_t size);

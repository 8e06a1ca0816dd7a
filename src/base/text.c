#include "base/text.h"

static unsigned char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : (unsigned char)c;
}

bool text_equal_ignoring_case(struct text a, struct text b) {
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++) {
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    }
    return true;
}

int text_compare(struct text a, struct text b) {
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

ptrdiff_t text_find(struct text a, char byte) {
    const char *found = a.size ? memchr(a.data, byte, a.size) : NULL;
    return found ? found - a.data : -1;
}

struct text text_trim(struct text a) {
    while (a.size && (a.data[0] == ' ' || a.data[0] == '\t'))
        a = text_from(a, 1);
    while (a.size && (a.data[a.size - 1] == ' ' || a.data[a.size - 1] == '\t'))
        a.size--;
    return a;
}

bool text_split(struct text *rest, char separator, struct text *ret_part) {
    if (!rest->data)
        return false;
    ptrdiff_t end = text_find(*rest, separator);
    if (end < 0) {
        *ret_part = *rest;
        *rest = (struct text){NULL, 0};
    } else {
        *ret_part = text_of(rest->data, (size_t)end);
        *rest = text_from(*rest, (size_t)end + 1);
    }
    return true;
}

bool text_to_integer(struct text a, int64_t *ret_value) {
    bool negative = a.size > 0 && a.data[0] == '-';
    struct text digits = negative ? text_from(a, 1) : a;
    if (digits.size == 0 || digits.size > 19 || (digits.data[0] == '0' && a.size > 1))
        return false;
    uint64_t magnitude = 0; // 19 digits always fit
    for (size_t i = 0; i < digits.size; i++) {
        char c = digits.data[i];
        if (c < '0' || c > '9')
            return false;
        magnitude = magnitude * 10 + (uint64_t)(c - '0');
    }
    if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return false;
    *ret_value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

// The bytes of the well-formed sequence at `s`, or 0 (Unicode 15, table 3-7).
static size_t sequence_size(const unsigned char *s, size_t left) {
    if (s[0] < 0x80)
        return 1;
    size_t size = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4 || left < size)
        return 0;
    unsigned low = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
    unsigned high = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    }
    return size;
}

bool text_is_utf8(struct text a) {
    const unsigned char *s = (const unsigned char *)a.data;
    size_t i = 0;
    while (i < a.size) {
        uint64_t word;
        if (a.size - i >= sizeof word) { // eight bytes of ASCII at a time
            memcpy(&word, s + i, sizeof word);
            if (!(word & UINT64_C(0x8080808080808080))) {
                i += sizeof word;
                continue;
            }
        }
        size_t size = sequence_size(s + i, a.size - i);
        if (!size)
            return false;
        i += size;
    }
    return true;
}

size_t text_utf8_size(struct text a) {
    return sequence_size((const unsigned char *)a.data, a.size);
}

struct text text_whole_characters(struct text a) {
    size_t start = a.size;
    while (start > 0 && a.size - start < 3 && ((unsigned char)a.data[start - 1] & 0xC0) == 0x80)
        start--;
    if (start == 0)
        return a;
    unsigned char lead = (unsigned char)a.data[start - 1];
    size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (size > a.size - start + 1)
        a.size = start - 1;
    return a;
}

size_t text_utf8_length(struct text a) {
    size_t length = 0;
    for (size_t i = 0; i < a.size; i++)
        length += ((unsigned char)a.data[i] & 0xC0) != 0x80;
    return length;
}

size_t text_utf8_encode(uint32_t code_point, char out[4]) {
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (char)(0xC0 | (code_point >> 6));
        out[1] = (char)(0x80 | (code_point & 0x3F));
        return 2;
    }
    if (code_point < 0x10000) {
        out[0] = (char)(0xE0 | (code_point >> 12));
        out[1] = (char)(0x80 | ((code_point >> 6) & 0x3F));
        out[2] = (char)(0x80 | (code_point & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | (code_point >> 18));
    out[1] = (char)(0x80 | ((code_point >> 12) & 0x3F));
    out[2] = (char)(0x80 | ((code_point >> 6) & 0x3F));
    out[3] = (char)(0x80 | (code_point & 0x3F));
    return 4;
}

uint32_t text_utf8_decode(struct text a, size_t *ret_size) {
    const unsigned char *s = (const unsigned char *)a.data;
    if (s[0] < 0x80) {
        *ret_size = 1;
        return s[0];
    }
    size_t size = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    uint32_t c = s[0] & (0xFFU >> (size + 1));
    for (size_t i = 1; i < size; i++)
        c = c << 6 | (s[i] & 0x3F);
    *ret_size = size;
    return c;
}

void text_hex_encode(const void *bytes, size_t size, char *out) {
    static const char digits[] = "0123456789abcdef";
    const unsigned char *in = bytes;
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
    }
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    unsigned char l = lower(c);
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

bool text_hex_decode(struct text hex, void *out, size_t size) {
    unsigned char *to = out;
    if (hex.size != 2 * size)
        return false;
    for (size_t i = 0; i < size; i++) {
        int high = hex_value(hex.data[2 * i]);
        int low = hex_value(hex.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        to[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

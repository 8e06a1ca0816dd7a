#include "http/syntax.h"

#include "http/http.h"

#include <arpa/inet.h>

static bool is_control(unsigned char byte) {
    return (byte < 0x20 && byte != '\t') || byte == 0x7f;
}

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

static bool is_alphanumeric(char byte) {
    char lower = (char)(byte | 0x20);
    return is_digit(byte) || (lower >= 'a' && lower <= 'z');
}

// Eight bytes are looked at as one word: most of a head is nothing but plain characters.

static uint64_t word_of(uint64_t byte) {
    return byte * 0x0101010101010101;
}

// Not 0 when a byte of the word is less than `limit`, which is at most 128.
static uint64_t word_has_less(uint64_t word, unsigned limit) {
    return (word - word_of(limit)) & ~word & word_of(0x80);
}

static uint64_t word_has(uint64_t word, unsigned char byte) {
    return word_has_less(word ^ word_of(byte), 1);
}

static uint64_t word_at(const char *data) {
    uint64_t word;
    memcpy(&word, data, sizeof word);
    return word;
}

static int hex_value(char byte) {
    char lower = (char)(byte | 0x20);
    if (is_digit(byte))
        return byte - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Whether a line may start with this byte; CR is looked at before.
static bool starts_line(char byte) {
    return byte != ' ' && byte != '\t' && byte != ':' && !is_control((unsigned char)byte);
}

// The first control character but HTAB, or the end.
static const char *find_control(const char *next, const char *end) {
    while (end - next >= 8) {
        uint64_t word = word_at(next);
        if (word_has_less(word, 0x20) || word_has(word, 0x7f))
            break;
        next += 8;
    }
    while (next < end && !is_control((unsigned char)*next))
        next++;
    return next;
}

// Where the byte leads to from a place that is not LINE_INSIDE; false where it must not be there.
static bool line_step(enum line_place *place, char byte) {
    if (*place == LINE_START) {
        *place = byte == '\r' ? LINE_EMPTY_AFTER_CR : LINE_INSIDE;
        return byte == '\r' || starts_line(byte);
    }
    *place = LINE_START;
    return byte == '\n';
}

enum line_outcome line_scan(enum line_place *place, struct text bytes, size_t *ret_used) {
    const char *next = bytes.data;
    const char *end = bytes.data + bytes.size;
    while (next < end) {
        bool empty = *place == LINE_EMPTY_AFTER_CR;
        if (*place == LINE_INSIDE) {
            next = find_control(next, end);
            if (next == end)
                break;
            if (*next != '\r')
                return LINE_WRONG;
            *place = LINE_AFTER_CR;
        } else if (!line_step(place, *next)) {
            return LINE_WRONG;
        }
        next++;
        if (empty) {
            *ret_used = (size_t)(next - bytes.data);
            return LINE_EMPTY_END;
        }
    }
    *ret_used = bytes.size;
    return LINE_GOES_ON;
}

static bool all_are(struct text text, const char *others) {
    for (size_t i = 0; i < text.size; i++) {
        char byte = text.data[i];
        if (!is_alphanumeric(byte) && (byte == '\0' || !strchr(others, byte)))
            return false;
    }
    return true;
}

bool syntax_is_token(struct text text) {
    return text.size > 0 && all_are(text, "!#$%&'*+-.^_`|~");
}

bool syntax_is_target(struct text text) {
    size_t i = 0;
    for (; text.size - i >= 8; i += 8) {
        uint64_t word = word_at(text.data + i);
        if (word_has_less(word, 0x21) || word_has(word, 0x7f) || word_has(word, '#') ||
            (word & word_of(0x80)))
            return false;
    }
    for (; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (byte <= ' ' || byte >= 0x7f || byte == '#')
            return false;
    }
    return text.size > 0;
}

// RFC 3986 section 3.2.2: names, among which the dotted IPv4 addresses are.
static bool is_registered_name(struct text name) {
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] != '%')
            continue;
        if (name.size - i < 3 || hex_value(name.data[i + 1]) < 0 || hex_value(name.data[i + 2]) < 0)
            return false;
    }
    return name.size > 0 && all_are(name, "-._~%!$&'()*+,;=");
}

static bool is_ipv6_address(struct text address) {
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr ignored;
    if (address.size >= sizeof copy || memchr(address.data, '\0', address.size))
        return false;
    memcpy(copy, address.data, address.size);
    copy[address.size] = '\0';
    return inet_pton(AF_INET6, copy, &ignored) == 1;
}

// What follows the host: nothing, or ":" and a port, which may be empty.
static bool is_port_part(struct text part) {
    if (part.size == 0)
        return true;
    if (part.data[0] != ':' || part.size > 6)
        return false;
    unsigned port = 0;
    for (size_t i = 1; i < part.size; i++) {
        if (!is_digit(part.data[i]))
            return false;
        port = port * 10 + (unsigned)(part.data[i] - '0');
    }
    return port <= 65535;
}

bool syntax_is_authority(struct text text) {
    if (text.size > 0 && text.data[0] == '[') {
        ptrdiff_t end = text_find(text, ']');
        return end > 0 && is_ipv6_address(text_of(text.data + 1, (size_t)end - 1)) &&
               is_port_part(text_from(text, (size_t)end + 1));
    }
    ptrdiff_t colon = text_find(text, ':');
    size_t size = colon < 0 ? text.size : (size_t)colon;
    return is_registered_name(text_of(text.data, size)) && is_port_part(text_from(text, size));
}

bool http_percent_decode(struct arena *arena, struct text encoded, bool form,
                         struct text *ret_decoded) {
    char *out = arena_allocate(arena, encoded.size + 1);
    size_t size = 0;
    if (!out)
        return false;
    for (size_t i = 0; i < encoded.size; i++) {
        char byte = encoded.data[i];
        if (byte == '%') {
            int high = encoded.size - i > 2 ? hex_value(encoded.data[i + 1]) : -1;
            int low = high < 0 ? -1 : hex_value(encoded.data[i + 2]);
            if (low < 0)
                return false;
            byte = (char)(high << 4 | low);
            i += 2;
        } else if (byte == '+' && form) {
            byte = ' ';
        }
        if (byte == '\0')
            return false;
        out[size++] = byte;
    }
    out[size] = '\0';
    if (!text_is_utf8(text_of(out, size)))
        return false;
    *ret_decoded = text_of(out, size);
    return true;
}

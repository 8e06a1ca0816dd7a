#include "resource/format.h"

#include "base/random.h"

// Classes of bytes, as bits.
enum {
    ALPHA = 1 << 0,
    DIGIT = 1 << 1,
    HEX = 1 << 2,
    SCHEME_REST = 1 << 3, // what may follow a scheme's first letter, besides letters and digits
    UNRESERVED = 1 << 4,  // RFC 3986 section 2.3
    SUB_DELIM = 1 << 5,   // RFC 3986 section 2.2
    ATOM = 1 << 6,        // atext of RFC 5321 (RFC 5322 section 3.2.3)
};

static unsigned class_of(char c) {
    static const char unreserved[] = "-._~";
    static const char sub_delims[] = "!$&'()*+,;=";
    static const char atoms[] = "!#$%&'*+-/=?^_`{|}~";
    unsigned class = 0;
    char lower = (char)(c | 0x20);
    if (lower >= 'a' && lower <= 'z')
        class |= ALPHA | UNRESERVED | ATOM | (lower <= 'f' ? HEX : 0);
    if (c >= '0' && c <= '9')
        class |= DIGIT | UNRESERVED | ATOM | HEX;
    if (c == '\0')
        return class;
    if (strchr("+-.", c))
        class |= SCHEME_REST;
    if (strchr(unreserved, c))
        class |= UNRESERVED;
    if (strchr(sub_delims, c))
        class |= SUB_DELIM;
    if (strchr(atoms, c))
        class |= ATOM;
    return class;
}

static bool is(char c, unsigned classes) {
    return (class_of(c) & classes) != 0;
}

static bool all(struct text text, unsigned classes) {
    for (size_t i = 0; i < text.size; i++) {
        if (!is(text.data[i], classes))
            return false;
    }
    return true;
}

// Unreserved, percent-encoded, sub-delims and the bytes of `more`.
static bool is_encoded(struct text text, const char *more) {
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '%') {
            if (text.size - i < 3 || !all(text_of(text.data + i + 1, 2), HEX))
                return false;
            i += 2;
        } else if (!is(c, UNRESERVED | SUB_DELIM) && (c == '\0' || !strchr(more, c))) {
            return false;
        }
    }
    return true;
}

// dec-octet "." dec-octet "." dec-octet "." dec-octet
static bool is_ipv4(struct text text) {
    struct text rest = text;
    struct text part;
    int parts = 0;
    while (text_split(&rest, '.', &part)) {
        int64_t octet;
        if (part.size > 3 || !all(part, DIGIT) || !text_to_integer(part, &octet) || octet > 255)
            return false;
        parts++;
    }
    return parts == 4;
}

// Up to eight groups of one to four digits, the last two of which may be an IPv4 address, and one
// "::" that stands for at least one group (RFC 3986 section 3.2.2).
static bool is_ipv6(struct text text) {
    int groups = 0;
    bool gap = false;
    size_t i = 0;
    if (text.size >= 2 && memcmp(text.data, "::", 2) == 0) {
        gap = true;
        i = 2;
    }
    while (i < text.size) {
        struct text rest = text_from(text, i);
        ptrdiff_t colon = text_find(rest, ':');
        struct text group = text_of(rest.data, colon < 0 ? rest.size : (size_t)colon);
        if (colon < 0 && text_find(group, '.') >= 0) {
            groups += 2;
            return is_ipv4(group) && (gap ? groups < 8 : groups == 8);
        }
        if (group.size < 1 || group.size > 4 || !all(group, HEX))
            return false;
        groups++;
        if (colon < 0)
            break;
        i += group.size + 1;
        if (i == text.size)
            return false;
        if (text.data[i] == ':') {
            if (gap)
                return false;
            gap = true;
            i++;
        }
    }
    return gap ? groups < 8 : groups == 8;
}

// "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" )
static bool is_ip_future(struct text text) {
    ptrdiff_t dot = text_find(text, '.');
    if (dot < 2 || (text.data[0] | 0x20) != 'v')
        return false;
    struct text version = text_of(text.data + 1, (size_t)dot - 1);
    struct text rest = text_from(text, (size_t)dot + 1);
    return all(version, HEX) && rest.size > 0 && text_find(rest, '%') < 0 && is_encoded(rest, ":");
}

// [ userinfo "@" ] host [ ":" port ]
static bool is_authority(struct text text) {
    ptrdiff_t at = text_find(text, '@');
    if (at >= 0) {
        if (!is_encoded(text_of(text.data, (size_t)at), ":"))
            return false;
        text = text_from(text, (size_t)at + 1);
    }
    struct text after;
    if (text.size && text.data[0] == '[') {
        ptrdiff_t end = text_find(text, ']');
        if (end < 0)
            return false;
        struct text literal = text_of(text.data + 1, (size_t)end - 1);
        after = text_from(text, (size_t)end + 1);
        if (!is_ipv6(literal) && !is_ip_future(literal))
            return false;
    } else {
        ptrdiff_t colon = text_find(text, ':');
        size_t host = colon < 0 ? text.size : (size_t)colon;
        after = text_from(text, host);
        if (!is_encoded(text_of(text.data, host), "")) // an IPv4 address is a reg-name too
            return false;
    }
    return after.size == 0 || (after.data[0] == ':' && all(text_from(after, 1), DIGIT));
}

// Takes what stands behind the first `separator` off the end of `text`; it must fit `more`.
static bool take_tail(struct text *text, char separator, const char *more) {
    ptrdiff_t at = text_find(*text, separator);
    if (at < 0)
        return true;
    struct text tail = text_from(*text, (size_t)at + 1);
    text->size = (size_t)at;
    return is_encoded(tail, more);
}

bool format_is_uri(struct text text) {
    ptrdiff_t colon = text_find(text, ':');
    if (colon < 1 || !is(text.data[0], ALPHA) ||
        !all(text_of(text.data, (size_t)colon), ALPHA | DIGIT | SCHEME_REST))
        return false;
    struct text rest = text_from(text, (size_t)colon + 1);
    if (!take_tail(&rest, '#', ":@/?") || !take_tail(&rest, '?', ":@/?"))
        return false;
    if (text_starts_with(rest, TEXT("//"))) {
        rest = text_from(rest, 2);
        ptrdiff_t slash = text_find(rest, '/');
        size_t size = slash < 0 ? rest.size : (size_t)slash;
        if (!is_authority(text_of(rest.data, size)))
            return false;
        rest = text_from(rest, size);
    }
    return is_encoded(rest, ":@/");
}

// Letters, digits and inner hyphens, at most 63 (RFC 1035 section 2.3.4).
static bool is_domain_label(struct text label) {
    if (label.size < 1 || label.size > 63 || label.data[0] == '-' ||
        label.data[label.size - 1] == '-')
        return false;
    for (size_t i = 0; i < label.size; i++) {
        if (!is(label.data[i], ALPHA | DIGIT) && label.data[i] != '-')
            return false;
    }
    return true;
}

bool format_is_email(struct text text) {
    ptrdiff_t at = text_find(text, '@');
    if (at < 1 || at > 64 || text.size > 254)
        return false;
    struct text local = text_of(text.data, (size_t)at);
    struct text domain = text_from(text, (size_t)at + 1);
    struct text part;
    while (text_split(&local, '.', &part)) {
        if (part.size == 0 || !all(part, ATOM))
            return false;
    }
    while (text_split(&domain, '.', &part)) {
        if (!is_domain_label(part))
            return false;
    }
    return true;
}

bool format_read_uuid(struct text text, char out[36]) {
    if (text.size != 36)
        return false;
    char lower[36];
    for (size_t i = 0; i < sizeof lower; i++) {
        char c = text.data[i];
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        if (hyphen ? c != '-' : !is(c, HEX))
            return false;
        lower[i] = c >= 'A' && c <= 'F' ? (char)(c | 0x20) : c;
    }
    memcpy(out, lower, sizeof lower);
    return true;
}

bool format_make_uuid(int64_t now, char out[FORMAT_UUID_SIZE]) {
    static const size_t groups[] = {4, 2, 2, 2, 6};
    unsigned char bytes[16];
    if (!random_bytes(bytes, sizeof bytes))
        return false;
    uint64_t ms = now > 0 ? (uint64_t)now : 0;
    for (int i = 0; i < 6; i++)
        bytes[i] = (unsigned char)(ms >> (40 - 8 * i));
    bytes[6] = (unsigned char)(0x70 | (bytes[6] & 0x0F));
    bytes[8] = (unsigned char)(0x80 | (bytes[8] & 0x3F));
    const unsigned char *at = bytes;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        if (i)
            *out++ = '-';
        text_hex_encode(at, groups[i], out);
        at += groups[i];
        out += 2 * groups[i];
    }
    return true;
}

// Appends decimal digits to a number that is kept negative, since that range is the wider one.
static bool append_digits(struct text digits, int64_t *negative) {
    for (size_t i = 0; i < digits.size; i++) {
        if (__builtin_mul_overflow(*negative, 10, negative) ||
            __builtin_sub_overflow(*negative, digits.data[i] - '0', negative))
            return false;
    }
    return true;
}

bool format_read_decimal(struct text text, uint8_t scale, int64_t *ret_digits) {
    bool minus = text.size && text.data[0] == '-';
    struct text whole = text_from(text, minus ? 1 : 0);
    struct text fraction = TEXT("");
    ptrdiff_t point = text_find(whole, '.');
    if (point >= 0) {
        fraction = text_from(whole, (size_t)point + 1);
        whole.size = (size_t)point;
        if (fraction.size == 0)
            return false;
    }
    if (whole.size == 0 || !all(whole, DIGIT) || !all(fraction, DIGIT))
        return false;
    while (fraction.size && fraction.data[fraction.size - 1] == '0')
        fraction.size--;
    int64_t digits = 0;
    if (fraction.size > scale || !append_digits(whole, &digits) ||
        !append_digits(fraction, &digits))
        return false;
    for (size_t i = fraction.size; i < scale; i++) {
        if (__builtin_mul_overflow(digits, 10, &digits))
            return false;
    }
    if (!minus && __builtin_sub_overflow(0, digits, &digits))
        return false;
    *ret_digits = digits;
    return true;
}

size_t format_write_decimal(int64_t digits, uint8_t scale, char out[21]) {
    char reversed[20];
    size_t count = 0;
    uint64_t rest = digits < 0 ? 0 - (uint64_t)digits : (uint64_t)digits;
    while (rest > 0 || count <= scale) {
        reversed[count++] = (char)('0' + rest % 10);
        rest /= 10;
    }
    size_t size = 0;
    if (digits < 0)
        out[size++] = '-';
    while (count > 0) {
        if (count == scale)
            out[size++] = '.';
        out[size++] = reversed[--count];
    }
    return size;
}

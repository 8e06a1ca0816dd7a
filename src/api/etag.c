#include "api/etag.h"

// --- Ours ---

static size_t format_integer(int64_t integer, char out[20]) {
    char reversed[20];
    size_t size = 0;
    size_t written = 0;
    uint64_t rest = integer < 0 ? 0 - (uint64_t)integer : (uint64_t)integer;
    do {
        reversed[size++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (integer < 0)
        out[written++] = '-';
    while (size)
        out[written++] = reversed[--size];
    return written;
}

size_t etag_format(struct etag etag, char out[ETAG_SIZE]) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t size = 0;
    if (etag.kind == ETAG_RECORD) {
        size = format_integer(etag.version, out);
        out[size++] = '.';
    }
    for (unsigned shift = 48; shift > 0;) {
        shift -= 6;
        out[size++] = digits[etag.representation >> shift & 63];
    }
    if (etag.coded) {
        memcpy(out + size, ETAG_CODED, sizeof ETAG_CODED - 1);
        size += sizeof ETAG_CODED - 1;
    }
    return size;
}

// --- Those of clients ---

struct tag {
    struct text opaque; // what stands between the quotes
    bool weak;
};

static void skip(struct text *rest, const char *bytes) {
    size_t size = 0;
    while (size < rest->size && rest->data[size] && strchr(bytes, rest->data[size]))
        size++;
    *rest = text_from(*rest, size);
}

static bool is_tag_byte(char byte) {
    unsigned char c = (unsigned char)byte;
    return c >= 0x21 && c != '"' && c != 0x7F;
}

// Takes a tag off the front of what is not empty; false where there is none.
static bool read_tag(struct text *rest, struct tag *ret_tag) {
    struct text at = *rest;
    bool weak = text_starts_with(at, TEXT("W/"));
    if (weak)
        at = text_from(at, 2);
    if (at.size == 0 || at.data[0] != '"')
        return false;
    size_t end = 1;
    while (end < at.size && is_tag_byte(at.data[end]))
        end++;
    if (end == at.size || at.data[end] != '"')
        return false;
    *ret_tag = (struct tag){text_of(at.data + 1, end - 1), weak};
    *rest = text_from(at, end + 1);
    return true;
}

// Takes the next tag off a list; false at its end, and where it is malformed: `rest` is not empty
// then. Empty elements are passed over (section 5.6.1.2).
static bool next_tag(struct text *rest, struct tag *ret_tag) {
    skip(rest, " \t,");
    if (rest->size == 0 || !read_tag(rest, ret_tag))
        return false;
    struct text after = *rest;
    skip(&after, " \t");
    if (after.size > 0 && after.data[0] != ',')
        return false;
    *rest = after;
    return true;
}

static bool is_any(struct text list) {
    return text_is(list, "*");
}

bool etag_list_is_valid(struct text list) {
    struct tag tag;
    size_t count = 0;
    if (is_any(list))
        return true;
    while (next_tag(&list, &tag))
        count++;
    return count > 0 && list.size == 0;
}

bool etag_is_listed(struct etag etag, struct text list, bool strongly) {
    char own[ETAG_SIZE];
    struct text opaque = text_of(own, etag_format(etag, own));
    struct tag tag;
    while (next_tag(&list, &tag)) {
        if (text_equal(tag.opaque, opaque) && !(strongly && tag.weak))
            return true;
    }
    return is_any(list);
}

bool etag_version_is_listed(int64_t version, struct text list, bool strongly) {
    struct tag tag;
    while (next_tag(&list, &tag)) {
        int64_t known;
        ptrdiff_t point = text_find(tag.opaque, '.');
        if (point > 0 && !(strongly && tag.weak) &&
            text_to_integer(text_of(tag.opaque.data, (size_t)point), &known) && known == version)
            return true;
    }
    return is_any(list);
}

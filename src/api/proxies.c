#include "api/proxies.h"

static bool is_escaped(struct text text, size_t at) {
    size_t backslashes = 0;
    while (backslashes < at && text.data[at - 1 - backslashes] == '\\')
        backslashes++;
    return backslashes % 2 == 1;
}

// Takes the last element off a list (RFC 9110 section 5.6.1). It is looked for from the right, so
// that what a client has begun on the left, a quotation perhaps, cannot hide what a proxy added.
// False where there is none.
static bool take_last(struct text *list, struct text *ret_element) {
    bool quoted = false;
    size_t start = list->size;
    if (!list->size)
        return false;
    for (; start > 0 && (quoted || list->data[start - 1] != ','); start--) {
        if (list->data[start - 1] == '"' && !is_escaped(*list, start - 1))
            quoted = !quoted;
    }
    *ret_element = text_trim(text_from(*list, start));
    list->size = start > 0 ? start - 1 : 0;
    return true;
}

static bool is_port(struct text port) {
    for (size_t i = 0; i < port.size; i++) {
        char c = port.data[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
            c != '.' && c != '_' && c != '-')
            return false;
    }
    return port.size > 0;
}

// An address, perhaps with a port behind it, which then is in brackets if it is IPv6: a "node" of
// RFC 7239 section 6, and what is in use for X-Forwarded-For.
static bool read_node(struct text node, struct address *ret_address) {
    ptrdiff_t end = text_find(node, ']');
    if (node.size && node.data[0] == '[') {
        if (end < 0)
            return false;
        struct text rest = text_from(node, (size_t)end + 1);
        struct text inside = text_of(node.data + 1, (size_t)end - 1);
        return text_find(inside, ':') >= 0 && address_parse(inside, ret_address) &&
               (rest.size == 0 || (rest.data[0] == ':' && is_port(text_from(rest, 1))));
    }
    ptrdiff_t colon = text_find(node, ':');
    bool has_port = colon >= 0 && text_find(text_from(node, (size_t)colon + 1), ':') < 0;
    if (!has_port)
        return address_parse(node, ret_address);
    return is_port(text_from(node, (size_t)colon + 1)) &&
           address_parse(text_of(node.data, (size_t)colon), ret_address);
}

// Without its quotation marks. No address has anything in it that would have to be escaped.
static struct text unquote(struct text value) {
    bool quoted = value.size >= 2 && value.data[0] == '"' && value.data[value.size - 1] == '"';
    return quoted ? text_of(value.data + 1, value.size - 2) : value;
}

// Takes the next pair off a Forwarded element: what stands before a ";" outside of quotes.
static struct text take_pair(struct text *rest) {
    bool quoted = false;
    size_t end = 0;
    for (; end < rest->size && (quoted || rest->data[end] != ';'); end++) {
        if (rest->data[end] == '"' && !is_escaped(*rest, end))
            quoted = !quoted;
    }
    struct text pair = text_of(rest->data, end);
    *rest = text_from(*rest, end < rest->size ? end + 1 : end);
    return text_trim(pair);
}

// An element of Forwarded (RFC 7239 section 4), which names one address by "for".
static bool read_element(struct text element, struct address *ret_address) {
    struct text found = {NULL, 0};
    while (element.size) {
        struct text value = take_pair(&element);
        struct text name;
        text_split(&value, '=', &name);
        if (!text_equal_ignoring_case(name, TEXT("for")))
            continue;
        if (!value.data || found.data)
            return false;
        found = unquote(value);
    }
    return found.data && read_node(found, ret_address);
}

void proxies_follow(const struct proxies *proxies, struct text value, struct address *address) {
    static bool (*const readers[])(struct text, struct address *) = {
        [PROXY_X_FORWARDED_FOR] = read_node,
        [PROXY_FORWARDED] = read_element,
    };
    struct text element;
    struct address next;
    while (take_last(&value, &element)) {
        if (element.size == 0) // elements may be empty, and mean nothing then
            continue;
        if (!readers[proxies->field](element, &next))
            return;
        *address = next;
        if (!network_list_contains(&proxies->trusted, address))
            return;
    }
}

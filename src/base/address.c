#include "base/address.h"

#include <arpa/inet.h>

enum { BITS = 128, MAPPED_SIZE = 12, MAPPED_BITS = 8 * MAPPED_SIZE };

static const unsigned char mapped[MAPPED_SIZE] = {[10] = 0xFF, [11] = 0xFF};

// Of 16 bytes.
static struct address from_bytes(const unsigned char *bytes) {
    struct address address = {.kind = memcmp(bytes, mapped, MAPPED_SIZE) == 0 ? ADDRESS_IPV4
                                                                              : ADDRESS_IPV6};
    memcpy(address.bytes, bytes, sizeof address.bytes);
    return address;
}

static struct address from_ipv4(const void *four) {
    struct address address = {.kind = ADDRESS_IPV4};
    memcpy(address.bytes, mapped, MAPPED_SIZE);
    memcpy(address.bytes + MAPPED_SIZE, four, sizeof address.bytes - MAPPED_SIZE);
    return address;
}

bool address_parse(struct text text, struct address *ret_address) {
    char string[ADDRESS_TEXT_SIZE] = "";
    unsigned char bytes[16];
    if (text.size == 0 || text.size >= sizeof string || memchr(text.data, '\0', text.size))
        return false;
    memcpy(string, text.data, text.size);
    if (inet_pton(AF_INET, string, bytes) == 1)
        *ret_address = from_ipv4(bytes);
    else if (inet_pton(AF_INET6, string, bytes) == 1)
        *ret_address = from_bytes(bytes);
    else
        return false;
    return true;
}

struct address address_of_socket(const struct sockaddr *socket) {
    if (socket->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const void *)socket;
        return from_ipv4(&four->sin_addr);
    }
    if (socket->sa_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const void *)socket;
        return from_bytes(six->sin6_addr.s6_addr);
    }
    return (struct address){ADDRESS_NONE, {0}};
}

struct text address_format(const struct address *address, char room[ADDRESS_TEXT_SIZE]) {
    room[0] = '\0';
    if (address->kind == ADDRESS_IPV4)
        inet_ntop(AF_INET, address->bytes + MAPPED_SIZE, room, ADDRESS_TEXT_SIZE);
    else if (address->kind == ADDRESS_IPV6)
        inet_ntop(AF_INET6, address->bytes, room, ADDRESS_TEXT_SIZE);
    return text_from_string(room);
}

bool address_equal(const struct address *a, const struct address *b) {
    return a->kind == b->kind && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

struct text address_party(const struct address *address) {
    const char *bytes = (const char *)address->bytes;
    switch (address->kind) {
    case ADDRESS_IPV4: return text_of(bytes, sizeof address->bytes);
    case ADDRESS_IPV6: return text_of(bytes, sizeof address->bytes / 2);
    default: return TEXT("");
    }
}

// Whether two runs of 16 bytes begin with the same `size` bits.
static bool same_bits(const unsigned char *a, const unsigned char *b, unsigned size) {
    unsigned rest = size % 8;
    return memcmp(a, b, size / 8) == 0 &&
           (rest == 0 || (a[size / 8] ^ b[size / 8]) >> (8 - rest) == 0);
}

static bool ends_in_zeros(const struct network *network) {
    unsigned char start[16] = {0};
    unsigned rest = network->size % 8;
    size_t whole = network->size / 8;
    memcpy(start, network->address.bytes, whole);
    if (rest > 0)
        start[whole] = (unsigned char)(network->address.bytes[whole] & (0xFF00U >> rest));
    return memcmp(start, network->address.bytes, sizeof start) == 0;
}

bool network_parse(struct text text, struct network *ret_network) {
    struct network network = {.size = BITS};
    ptrdiff_t slash = text_find(text, '/');
    struct text address = slash < 0 ? text : text_of(text.data, (size_t)slash);
    int64_t size;
    if (!address_parse(address, &network.address))
        return false;
    if (slash >= 0) {
        // A mapped address is written with the size of an IPv6 network.
        bool short_form = text_find(address, ':') < 0;
        int64_t least = network.address.kind == ADDRESS_IPV4 && !short_form ? MAPPED_BITS : 0;
        if (!text_to_integer(text_from(text, (size_t)slash + 1), &size) || size < least ||
            size > (short_form ? BITS - MAPPED_BITS : BITS))
            return false;
        network.size = (unsigned)size + (short_form ? MAPPED_BITS : 0);
    }
    if (!ends_in_zeros(&network))
        return false;
    *ret_network = network;
    return true;
}

bool network_contains(const struct network *network, const struct address *address) {
    return network->address.kind == address->kind &&
           same_bits(network->address.bytes, address->bytes, network->size);
}

bool network_list_contains(const struct network_list *list, const struct address *address) {
    if (address->kind == ADDRESS_NONE)
        return list->unix_sockets;
    for (size_t i = 0; i < list->count; i++) {
        if (network_contains(&list->items[i], address))
            return true;
    }
    return false;
}

// IP addresses, and networks of them. An IPv4 address is the same whether it is written as such or
// as an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2). All are plain values.
#pragma once

#include "base/text.h"

#include <sys/socket.h>

enum address_kind {
    ADDRESS_NONE, // of a peer on a Unix socket, who has none
    ADDRESS_IPV4,
    ADDRESS_IPV6,
};

// Zeroed memory is ADDRESS_NONE.
struct address {
    enum address_kind kind;
    unsigned char bytes[16]; // IPv4: the last four of them; the others are as when it is mapped
};

enum { ADDRESS_TEXT_SIZE = 46 }; // with a zero byte at its end

struct network {
    struct address address; // whose bits behind the first `size` are 0
    unsigned size;          // in bits, of all 128
};

// Peers that are named by where they come from.
struct network_list {
    const struct network *items;
    size_t count;
    bool unix_sockets; // and everybody on a Unix socket
};

// "192.0.2.7" or "2001:db8::7", without a port, brackets or a zone.
bool address_parse(struct text text, struct address *ret_address);

// What a socket says; ADDRESS_NONE where it is no socket of the Internet.
struct address address_of_socket(const struct sockaddr *socket);

// As address_parse reads it, in the shortest form (RFC 5952), zero-terminated; the text is that of
// `room`. Empty for ADDRESS_NONE.
struct text address_format(const struct address *address, char room[ADDRESS_TEXT_SIZE]);

bool address_equal(const struct address *a, const struct address *b);

// The bytes that tell one party from another: all of an IPv4 address, the first 64 bits of an IPv6
// address, for whoever has one of those has all that begin so. Empty for ADDRESS_NONE. They belong
// to the address.
struct text address_party(const struct address *address);

// "10.0.0.0/8", "2001:db8::/32", or an address, which is a network of one. False also where bits
// are set that are no part of the network: one of the two numbers is wrong then.
bool network_parse(struct text text, struct network *ret_network);

bool network_contains(const struct network *network, const struct address *address);

bool network_list_contains(const struct network_list *list, const struct address *address);

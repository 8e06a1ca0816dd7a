// The proxies that are believed when they tell from where a request came to them. A plain value;
// the networks are lent.
#pragma once

#include "base/address.h"

// The field in which proxies tell who is before them. Only one of the two is read: a proxy that
// writes one passes the other on as the client has sent it.
enum proxy_field {
    PROXY_X_FORWARDED_FOR,
    PROXY_FORWARDED, // RFC 7239
};

struct proxies {
    struct network_list trusted;
    enum proxy_field field;
};

// Follows the value of that field from its right end, where the nearest proxy wrote, beginning with
// `address`, who is trusted: to the first one that is not, or, where an entry is none that names an
// address, to the last one before it.
void proxies_follow(const struct proxies *proxies, struct text value, struct address *address);

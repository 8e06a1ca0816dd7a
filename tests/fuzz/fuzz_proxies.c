// Any bytes as what proxies tell, after a first one that chooses the field: where it ends is an
// address that is written and read back as itself; and what a client puts before it changes nothing
// where a proxy has told of somebody who is not trusted. The same bytes as addresses and networks.
#include "fuzz/fuzz.h"

#include "api/proxies.h"

#include <assert.h>
#include <stdlib.h>

static const struct text trusted[] = {TEXT_INIT("10.0.0.0/8"), TEXT_INIT("2001:db8::/32")};

static struct address follow(const struct proxies *proxies, struct text value) {
    struct address address;
    assert(address_parse(TEXT("10.0.0.1"), &address));
    proxies_follow(proxies, value, &address);
    return address;
}

static void check_address(const struct address *address) {
    char room[ADDRESS_TEXT_SIZE];
    struct address again;
    assert(address_parse(address_format(address, room), &again));
    assert(address_equal(address, &again));
    assert(address_party(address).size > 0);
}

static void check_proxy_wins(const struct proxies *proxies, struct text value) {
    struct text added =
        proxies->field == PROXY_FORWARDED ? TEXT(", for=\"[2002::7]:80\"") : TEXT(", [2002::7]:80");
    char *whole = malloc(value.size + added.size);
    struct address expected;
    if (!whole)
        return;
    if (value.size)
        memcpy(whole, value.data, value.size);
    memcpy(whole + value.size, added.data, added.size);
    struct address found = follow(proxies, text_of(whole, value.size + added.size));
    assert(address_parse(TEXT("2002::7"), &expected));
    assert(address_equal(&found, &expected));
    free(whole);
}

static void check_network(struct text text) {
    struct network network;
    struct address address;
    if (network_parse(text, &network)) {
        assert(network.size <= 128);
        assert(network_contains(&network, &network.address));
        check_address(&network.address);
    }
    if (address_parse(text, &address))
        check_address(&address);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct network networks[2];
    struct proxies proxies = {.trusted = {.items = networks, .count = 2}};
    for (size_t i = 0; i < 2; i++)
        assert(network_parse(trusted[i], &networks[i]));
    if (size == 0)
        return 0;
    proxies.field = data[0] % 2 ? PROXY_FORWARDED : PROXY_X_FORWARDED_FOR;
    struct text value = text_of((const char *)data + 1, size - 1);
    struct address address = follow(&proxies, value);
    check_address(&address);
    check_proxy_wins(&proxies, value);
    check_network(value);
    return 0;
}

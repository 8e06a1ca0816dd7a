#include "api/proxies.h"

#include "unit/testing.h"

enum { NETWORKS = 3 };

static struct network networks[NETWORKS];

static struct proxies proxies_for(enum proxy_field field) {
    static const char *const texts[NETWORKS] = {"10.0.0.0/8", "192.0.2.1", "2001:db8:ffff::/48"};
    for (size_t i = 0; i < NETWORKS; i++)
        assert_true(network_parse(text_from_string(texts[i]), &networks[i]));
    return (struct proxies){{networks, NETWORKS, true}, field};
}

struct example {
    const char *value;
    const char *client;
};

// The request comes from 10.0.0.1.
static void check(enum proxy_field field, const struct example *examples, size_t count) {
    const struct proxies proxies = proxies_for(field);
    for (size_t i = 0; i < count; i++) {
        char room[ADDRESS_TEXT_SIZE];
        struct address address;
        assert_true(address_parse(TEXT("10.0.0.1"), &address));
        proxies_follow(&proxies, text_from_string(examples[i].value), &address);
        struct text found = address_format(&address, room);
        if (!text_is(found, examples[i].client))
            print_error("%s\n", examples[i].value);
        assert_text_is(found, examples[i].client);
    }
}

static void x_forwarded_for_is_followed_from_the_right(void **state) {
    static const struct example examples[] = {
        {"203.0.113.9", "203.0.113.9"},
        {" 203.0.113.9\t", "203.0.113.9"},
        // What the client itself wrote stands further left, whatever it is.
        {"1.1.1.1, 203.0.113.9", "203.0.113.9"},
        {"10.0.0.7, 203.0.113.9", "203.0.113.9"},
        {"nonsense, 203.0.113.9", "203.0.113.9"},
        {"\"1.1.1.1, 203.0.113.9", "203.0.113.9"},
        {"1.1.1.1\", 203.0.113.9", "203.0.113.9"},
        // Through proxies that are trusted.
        {"1.1.1.1, 203.0.113.9, 10.1.1.1", "203.0.113.9"},
        {"203.0.113.9, 192.0.2.1,10.1.1.1", "203.0.113.9"},
        {"203.0.113.9, 2001:db8:ffff::1", "203.0.113.9"},
        {"203.0.113.9, ::ffff:10.1.1.1", "203.0.113.9"},
        {"203.0.113.9, 192.0.2.2", "192.0.2.2"},
        // All of them are: whoever is farthest away.
        {"10.3.3.3, 10.2.2.2", "10.3.3.3"},
        // Nothing that names an address: the last good one.
        {"", "10.0.0.1"},
        {",", "10.0.0.1"},
        {" , ,", "10.0.0.1"},
        {"unknown", "10.0.0.1"},
        {"203.0.113.9, unknown", "10.0.0.1"},
        {"203.0.113.9, unknown, 10.1.1.1", "10.1.1.1"},
        {"203.0.113.9, 10.1.1.1x", "10.0.0.1"},
        {"203.0.113.9 10.1.1.1", "10.0.0.1"},
        {"for=203.0.113.9", "10.0.0.1"},
        {"10.1.1.256", "10.0.0.1"},
        // Empty elements mean nothing.
        {"203.0.113.9,", "203.0.113.9"},
        {"203.0.113.9, , 10.1.1.1", "203.0.113.9"},
        // IPv6, and ports, as they are in use.
        {"2001:db8::9", "2001:db8::9"},
        {"[2001:db8::9]", "2001:db8::9"},
        {"[2001:db8::9]:4711", "2001:db8::9"},
        {"203.0.113.9:4711", "203.0.113.9"},
        {"::ffff:203.0.113.9", "203.0.113.9"},
        {"[::ffff:203.0.113.9]:80", "203.0.113.9"},
        {"203.0.113.9:", "10.0.0.1"},
        {"203.0.113.9:8 0", "10.0.0.1"},
        {"[2001:db8::9", "10.0.0.1"},
        {"[2001:db8::9]x", "10.0.0.1"},
        {"[2001:db8::9]:", "10.0.0.1"},
        {"[203.0.113.9]", "10.0.0.1"},
        {"[]", "10.0.0.1"},
        {"[", "10.0.0.1"},
        {"]", "10.0.0.1"},
        {":", "10.0.0.1"},
        {":80", "10.0.0.1"},
        {"fe80::1%eth0", "10.0.0.1"},
    };
    check(PROXY_X_FORWARDED_FOR, examples, sizeof examples / sizeof *examples);
}

static void forwarded_is_followed_from_the_right(void **state) {
    static const struct example examples[] = {
        {"for=203.0.113.9", "203.0.113.9"},
        {"For=203.0.113.9;proto=https;by=10.0.0.1", "203.0.113.9"},
        {"proto=https; FOR = 203.0.113.9", "10.0.0.1"}, // no white space around "="
        {"proto=https ; for=203.0.113.9", "203.0.113.9"},
        {"for=\"203.0.113.9:4711\"", "203.0.113.9"},
        {"for=\"[2001:db8::9]\"", "2001:db8::9"},
        {"for=\"[2001:db8::9]:4711\";by=\"[2001:db8:ffff::1]\"", "2001:db8::9"},
        {"for=\"[2001:db8::9]:_port\"", "2001:db8::9"},
        {"for=203.0.113.9, for=10.1.1.1", "203.0.113.9"},
        {"for=1.1.1.1, for=203.0.113.9, for=\"10.1.1.1:80\"", "203.0.113.9"},
        // The client cannot hide what the proxy added behind its own text.
        {"for=\"1.1.1.1, for=203.0.113.9", "203.0.113.9"},
        {"for=\"1.1.1.1\\\", for=203.0.113.9", "203.0.113.9"},
        {"x=\"a,b\";for=1.1.1.1, for=203.0.113.9;x=\"c,d\"", "203.0.113.9"},
        {"for=203.0.113.9;x=\"a\\\",b\"", "203.0.113.9"},
        {"for=203.0.113.9;x=\"a;for=1.1.1.1\"", "203.0.113.9"},
        // Those who do not want to be known.
        {"for=unknown", "10.0.0.1"},
        {"for=_hidden, for=10.1.1.1", "10.1.1.1"},
        {"for=\"_hidden:_port\"", "10.0.0.1"},
        // Nothing that names one address.
        {"", "10.0.0.1"},
        {"203.0.113.9", "10.0.0.1"},
        {"proto=https", "10.0.0.1"},
        {"for", "10.0.0.1"},
        {"for=", "10.0.0.1"},
        {"for=\"\"", "10.0.0.1"},
        {"for=\"", "10.0.0.1"},
        {"for=\"203.0.113.9", "10.0.0.1"},
        {"for=203.0.113.9;for=203.0.113.10", "10.0.0.1"},
        {"for=\"\\203.0.113.9\"", "10.0.0.1"},
        {"xfor=203.0.113.9", "10.0.0.1"},
        {";;;", "10.0.0.1"},
    };
    check(PROXY_FORWARDED, examples, sizeof examples / sizeof *examples);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(x_forwarded_for_is_followed_from_the_right),
        cmocka_unit_test(forwarded_is_followed_from_the_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/address.h"

#include "unit/testing.h"

#include <arpa/inet.h>

static struct address address_from(const char *string) {
    struct address address;
    assert_true_for(address_parse(text_from_string(string), &address), string);
    return address;
}

static void addresses_are_read_and_written(void **state) {
    static const struct {
        const char *text;
        enum address_kind kind;
        const char *written;
    } cases[] = {
        {"192.0.2.7", ADDRESS_IPV4, "192.0.2.7"},
        {"0.0.0.0", ADDRESS_IPV4, "0.0.0.0"},
        {"255.255.255.255", ADDRESS_IPV4, "255.255.255.255"},
        {"2001:db8::7", ADDRESS_IPV6, "2001:db8::7"},
        {"2001:0DB8:0:0:0:0:0:0007", ADDRESS_IPV6, "2001:db8::7"},
        {"::", ADDRESS_IPV6, "::"},
        {"::1", ADDRESS_IPV6, "::1"},
        {"::ffff:192.0.2.7", ADDRESS_IPV4, "192.0.2.7"},
        {"::FFFF:c000:207", ADDRESS_IPV4, "192.0.2.7"},
        {"::192.0.2.7", ADDRESS_IPV6, "::192.0.2.7"},
        {"1111:2222:3333:4444:5555:6666:123.123.123.123", ADDRESS_IPV6,
         "1111:2222:3333:4444:5555:6666:7b7b:7b7b"},
    };
    char room[ADDRESS_TEXT_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address address = address_from(cases[i].text);
        assert_int_equal(address.kind, cases[i].kind);
        assert_text_is(address_format(&address, room), cases[i].written);
        struct address again = address_from(room);
        assert_true(address_equal(&address, &again));
    }
    struct address none = {.kind = ADDRESS_NONE};
    assert_text_is(address_format(&none, room), "");
}

static void what_is_no_address_is_refused(void **state) {
    static const char *const wrong[] = {
        "",
        " ",
        "192.0.2",
        "192.0.2.7.1",
        "192.0.2.256",
        "192.0.2.07",
        "192.0.2.7 ",
        " 192.0.2.7",
        "192.0.2.7:80",
        "[::1]",
        "::1%eth0",
        "fe80::1%1",
        ":::",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "g::1",
        "unknown",
        "_hidden",
        "localhost",
        "1",
        "0x7f.1",
        "3221226000",
        "::ffff:1.2",
        "1::2::3",
        "11111:2222:3333:4444:5555:6666:7777:8888",
        "1111:2222:3333:4444:5555:6666:123.123.123.123:1111:2222:3333:4444"};
    struct address address = {.kind = ADDRESS_IPV6, .bytes = {7}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_true_for(!address_parse(text_from_string(wrong[i]), &address), wrong[i]);
    assert_false(address_parse(text_of("::1\0", 4), &address));
    assert_false(address_parse(text_of("1.2.3.4\0x", 9), &address));
    assert_int_equal(address.kind, ADDRESS_IPV6); // untouched
    assert_int_equal(address.bytes[0], 7);
}

static void sockets_have_addresses(void **state) {
    char room[ADDRESS_TEXT_SIZE];
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr local = {.sa_family = AF_UNIX};
    assert_int_equal(inet_pton(AF_INET, "198.51.100.1", &four.sin_addr), 1);
    struct address address = address_of_socket((const struct sockaddr *)&four);
    assert_text_is(address_format(&address, room), "198.51.100.1");
    assert_int_equal(inet_pton(AF_INET6, "::ffff:198.51.100.1", &six.sin6_addr), 1);
    struct address same = address_of_socket((const struct sockaddr *)&six);
    assert_true(address_equal(&address, &same));
    assert_int_equal(inet_pton(AF_INET6, "fe80::1", &six.sin6_addr), 1);
    address = address_of_socket((const struct sockaddr *)&six);
    assert_text_is(address_format(&address, room), "fe80::1");
    address = address_of_socket(&local);
    assert_int_equal(address.kind, ADDRESS_NONE);
}

static bool same_party(const char *one, const char *other) {
    struct address a = address_from(one);
    struct address b = address_from(other);
    return text_equal(address_party(&a), address_party(&b));
}

static void a_party_is_an_address_or_the_half_of_one(void **state) {
    assert_true(same_party("192.0.2.7", "::ffff:192.0.2.7"));
    assert_false(same_party("192.0.2.7", "192.0.2.8"));
    assert_true(same_party("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert_false(same_party("2001:db8:1:2::1", "2001:db8:1:3::1"));
    assert_false(same_party("::1", "0.0.0.1"));
    struct address none = {.kind = ADDRESS_NONE};
    assert_int_equal(address_party(&none).size, 0);
}

static void networks_contain_addresses(void **state) {
    static const struct {
        const char *network;
        const char *address;
        bool inside;
    } cases[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
        {"::ffff:10.0.0.0/104", "10.1.2.3", true},
        {"::ffff:0:0/96", "203.0.113.9", true},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "::1", true},
        {"::/0", "203.0.113.9", false},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},
        {"192.0.2.7/32", "192.0.2.7", true},
        {"192.0.2.6/31", "192.0.2.7", true},
        {"192.0.2.6/31", "192.0.2.8", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"2001:db8::1", "2001:db8::1", true},
        {"2001:db8::1/128", "2001:db8::2", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct network network;
        assert_true_for(network_parse(text_from_string(cases[i].network), &network),
                        cases[i].network);
        struct address address = address_from(cases[i].address);
        assert_true_for(network_contains(&network, &address) == cases[i].inside, cases[i].network);
    }
}

static void what_is_no_network_is_refused(void **state) {
    static const char *const wrong[] = {"",
                                        "/8",
                                        "10.0.0.0/",
                                        "10.0.0.0/33",
                                        "10.0.0.0/-1",
                                        "10.0.0.0/08",
                                        "10.0.0.0/8/8",
                                        "10.0.0.1/8",
                                        "::/129",
                                        "2001:db8::1/64",
                                        "10.0.0.0/x",
                                        "unix",
                                        "10.0.0.0 /8",
                                        "::ffff:10.0.0.0/8",
                                        "::ffff:0:0/95",
                                        "192.0.2.1/31",
                                        "*"};
    struct network network = {.size = 77};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_true_for(!network_parse(text_from_string(wrong[i]), &network), wrong[i]);
    assert_int_equal(network.size, 77);
}

static void lists_contain_what_one_of_them_does(void **state) {
    struct network networks[2];
    struct address inside = address_from("192.168.3.4");
    struct address outside = address_from("8.8.8.8");
    struct address none = {.kind = ADDRESS_NONE};
    assert_true(network_parse(TEXT("10.0.0.0/8"), &networks[0]));
    assert_true(network_parse(TEXT("192.168.0.0/16"), &networks[1]));
    struct network_list list = {.items = networks, .count = 2};
    assert_true(network_list_contains(&list, &inside));
    assert_false(network_list_contains(&list, &outside));
    assert_false(network_list_contains(&list, &none));
    list = (struct network_list){.unix_sockets = true};
    assert_true(network_list_contains(&list, &none));
    assert_false(network_list_contains(&list, &inside));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_and_written),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(sockets_have_addresses),
        cmocka_unit_test(a_party_is_an_address_or_the_half_of_one),
        cmocka_unit_test(networks_contain_addresses),
        cmocka_unit_test(what_is_no_network_is_refused),
        cmocka_unit_test(lists_contain_what_one_of_them_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/suggest.h"

#include "unit/testing.h"

#include <limits.h>

static void distances(void **state) {
    static const struct {
        struct text a;
        struct text b;
        unsigned distance;
    } cases[] = {
        {TEXT_INIT(""), TEXT_INIT(""), 0},
        {TEXT_INIT(""), TEXT_INIT("abc"), 3},
        {TEXT_INIT("abc"), TEXT_INIT("abc"), 0},
        {TEXT_INIT("abc"), TEXT_INIT("abd"), 1},   // changed
        {TEXT_INIT("abc"), TEXT_INIT("abxc"), 1},  // put in
        {TEXT_INIT("abc"), TEXT_INIT("ac"), 1},    // left out
        {TEXT_INIT("abc"), TEXT_INIT("acb"), 1},   // swapped
        {TEXT_INIT("abcd"), TEXT_INIT("badc"), 2}, // swapped twice
        {TEXT_INIT("ca"), TEXT_INIT("abc"), 3},    // a pair is swapped once at most
        {TEXT_INIT("kitten"), TEXT_INIT("sitting"), 3},
        {TEXT_INIT("maxlenght"), TEXT_INIT("maxLength"), 2},
        {{NULL, 0}, TEXT_INIT("a"), 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(suggest_distance(cases[i].a, cases[i].b), cases[i].distance);
        assert_int_equal(suggest_distance(cases[i].b, cases[i].a), cases[i].distance);
    }
}

static void long_words_are_entirely_different(void **state) {
    char a[64];
    char b[64];
    memset(a, 'a', sizeof a);
    memset(b, 'a', sizeof b);
    assert_int_equal(suggest_distance(text_of(a, 63), text_of(b, 63)), 0);
    assert_int_equal(suggest_distance(text_of(a, 63), text_of(b, 0)), 63);
    assert_int_equal(suggest_distance(text_of(a, 64), text_of(b, 64)), 0);
    assert_int_equal(suggest_distance(text_of(a, 64), text_of(b, 63)), UINT_MAX);
}

static struct text best_for(struct text word) {
    static const struct text known[] = {
        TEXT_INIT("minLength"), TEXT_INIT("maxLength"), TEXT_INIT("maximum"), TEXT_INIT("minimum"),
        TEXT_INIT("type"),      TEXT_INIT("items"),     TEXT_INIT("if"),
    };
    struct suggestion suggestion = {word, {NULL, 0}, 0};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        suggest_offer(&suggestion, known[i]);
    return suggestion.best;
}

static void the_nearest_word_is_offered(void **state) {
    assert_text_is(best_for(TEXT("maxLenght")), "maxLength");
    assert_text_is(best_for(TEXT("maxlength")), "maxLength");
    assert_text_is(best_for(TEXT("minimun")), "minimum");
    assert_text_is(best_for(TEXT("tpye")), "type");
    assert_text_is(best_for(TEXT("item")), "items");
    assert_text_is(best_for(TEXT("type")), "type");
}

static void what_is_far_away_is_not(void **state) {
    assert_null(best_for(TEXT("")).data);
    assert_null(best_for(TEXT("x")).data); // all of "if" is different
    assert_null(best_for(TEXT("frobnicate")).data);
    assert_null(best_for(TEXT("tea")).data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances),
        cmocka_unit_test(long_words_are_entirely_different),
        cmocka_unit_test(the_nearest_word_is_offered),
        cmocka_unit_test(what_is_far_away_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

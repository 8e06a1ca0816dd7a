// What every unit test includes: cmocka, and assertions about texts.
#pragma once

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

// Fails, showing both, where a text is not what a zero-terminated string says.
#define assert_text_is(actual, expected) testing_text_is(actual, expected, __FILE__, __LINE__)

// The same, saying for which case of a table it fails.
#define assert_true_for(condition, name)                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            print_error("%s does not hold for \"%s\"\n", #condition, name);                        \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

static inline void testing_text_is(struct text actual, const char *expected, const char *file,
                                   int line) {
    if (text_is(actual, expected))
        return;
    print_error("\"%.*s\" should be \"%s\"\n", TEXT_ARGS(actual), expected);
    _fail(file, line);
}

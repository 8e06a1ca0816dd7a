#include "api/prefer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum {
    MINIMAL = 1 << PREFER_MINIMAL,
    WHOLE = 1 << PREFER_REPRESENTATION,
    STRICT = 1 << PREFER_STRICT,
    LENIENT = 1 << PREFER_LENIENT,
    WAIT = 1 << PREFER_WAIT,
    ASYNC = 1 << PREFER_ASYNC
};

static void fields(void **state) {
    static const struct {
        const char *field;
        unsigned asked;
        unsigned wait;
        const char *other; // NULL: none; "": without a name
    } rows[] = {
        {"", 0, 0, NULL},
        {" , ,", 0, 0, NULL},
        {"return=minimal", MINIMAL, 0, NULL},
        {"Return = \"Minimal\"", MINIMAL, 0, NULL},
        {"return=\"min\\imal\"", MINIMAL, 0, NULL},
        {"return=representation", WHOLE, 0, NULL},
        {"return=minimal, return=representation", MINIMAL, 0, NULL},
        {"return=representation, return=minimal", WHOLE, 0, NULL},
        {"return=nothing, return=minimal", 0, 0, "return"},
        {"return", 0, 0, "return"},
        {"return=\"\"", 0, 0, "return"},
        {"return=minimalist", 0, 0, "return"},
        {"return=minima", 0, 0, "return"},
        {"return=\"minimal\\\"", 0, 0, ""},
        {"handling=strict", STRICT, 0, NULL},
        {"handling=lenient; why=\"a, b=c; return=minimal\"", LENIENT, 0, NULL},
        {"handling=strict, handling=lenient", STRICT, 0, NULL},
        {"wait=10", WAIT, 10, NULL},
        {"wait=\"10\"", WAIT, 10, NULL},
        {"wait=0010", WAIT, 10, NULL},
        {"wait=99999999999999999999999999", WAIT, PREFER_WAIT_MOST, NULL},
        {"wait=0", 0, 0, "wait"},
        {"wait=-1", 0, 0, "wait"},
        {"wait=1.5", 0, 0, "wait"},
        {"wait=1s", 0, 0, "wait"},
        {"wait", 0, 0, "wait"},
        {"respond-async", ASYNC, 0, NULL},
        {"RESPOND-ASYNC, wait=5;x", ASYNC | WAIT, 5, NULL},
        {"respond-async=\"\"", ASYNC, 0, NULL},
        {"respond-async=yes", 0, 0, "respond-async"},
        {"odata.continue, return=minimal", MINIMAL, 0, "odata.continue"},
        {"a, b", 0, 0, "a"},
        {"a b, return=minimal", MINIMAL, 0, ""},
        {"=, ;, x=y", 0, 0, ""},
        {"\"return=minimal\"", 0, 0, ""},
        {"\"return=minimal", 0, 0, ""},
        {"return=minimal;\"", MINIMAL, 0, NULL},
        {"return=minimal wait=5", 0, 0, ""},
        {"return=minimal; wait=5", MINIMAL, 0, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct preferences preferences;
        prefer_read(text_from_string(rows[i].field), &preferences);
        if (preferences.asked != rows[i].asked || preferences.applied ||
            ((preferences.asked & WAIT) && preferences.wait != rows[i].wait) ||
            preferences.others != (rows[i].other != NULL) ||
            !text_is(preferences.other, rows[i].other ? rows[i].other : ""))
            fail_msg("%s: %#x, other %.*s", rows[i].field, preferences.asked,
                     TEXT_ARGS(preferences.other));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

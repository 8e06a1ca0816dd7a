#include "base/failure.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    unsigned status;
    const char *type;
    const char *title;
} failures[FAILURE_CODES] = {
#define FAILURE_ROW(code, status, type, title) [FAILURE_##code] = {status, type, title},
    FAILURE_TABLE(FAILURE_ROW)
#undef FAILURE_ROW
};

bool failure_set_list(struct failure *failure, enum failure_code code, const char *format,
                      va_list arguments) {
    failure->code = code;
    int size = vsnprintf(failure->detail, sizeof failure->detail, format, arguments);
    struct text detail = text_from_string(size < 0 ? "" : failure->detail);
    failure->detail[text_whole_characters(detail).size] = '\0';
    return false;
}

bool failure_set(struct failure *failure, enum failure_code code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    failure_set_list(failure, code, format, arguments);
    va_end(arguments);
    return false;
}

bool failure_out_of_memory(struct failure *failure) {
    return failure_set(failure, FAILURE_OUT_OF_MEMORY, "out of memory");
}

unsigned failure_status(enum failure_code code) {
    return failures[code].status;
}

const char *failure_type(enum failure_code code) {
    return failures[code].type;
}

const char *failure_title(enum failure_code code) {
    return failures[code].title;
}

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
    char detail[sizeof failure->detail]; // apart, for an argument may be the old detail
    int size = vsnprintf(detail, sizeof detail, format, arguments);
    struct text whole = text_whole_characters(text_from_string(size < 0 ? "" : detail));
    failure->code = code;
    if (whole.size)
        memcpy(failure->detail, whole.data, whole.size);
    failure->detail[whole.size] = '\0';
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

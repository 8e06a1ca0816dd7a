#define PCRE2_CODE_UNIT_WIDTH 8

#include "resource/pattern.h"

#include <pcre2.h>
#include <stdlib.h>

// What one match may cost. A pattern that can match at any place is tried at each, and the match
// limit counts anew at each, so such a pattern sees only subjects of a bounded size.
enum {
    SOURCE_MAX = 10000,
    MATCH_LIMIT = 1000000,
    DEPTH_LIMIT = 250000,
    HEAP_LIMIT_KIB = 32768,
    UNANCHORED_SUBJECT_MAX = 16384,
};

struct pattern {
    pcre2_code *code;
    pcre2_match_context *context; // the limits; read alone once it is made
    bool anchored;
};

static pcre2_match_context *create_limits(void) {
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    if (context) {
        pcre2_set_match_limit(context, MATCH_LIMIT);
        pcre2_set_depth_limit(context, DEPTH_LIMIT);
        pcre2_set_heap_limit(context, HEAP_LIMIT_KIB);
    }
    return context;
}

static bool refuse(struct failure *failure, struct text source, int error, size_t offset) {
    if (error == PCRE2_ERROR_HEAP_FAILED)
        return failure_out_of_memory(failure);
    char message[200];
    pcre2_get_error_message(error, (PCRE2_UCHAR *)message, sizeof message);
    size_t before = offset < source.size ? offset : source.size;
    return failure_set(failure, FAILURE_INVALID_DEFINITION, "%s at character %zu", message,
                       text_utf8_length(text_of(source.data, before)) + 1);
}

struct pattern *pattern_compile(struct text source, struct failure *failure) {
    if (source.size > SOURCE_MAX) {
        failure_set(failure, FAILURE_INVALID_DEFINITION, "it is longer than %d bytes", SOURCE_MAX);
        return NULL;
    }
    int error;
    size_t offset;
    uint32_t options = PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)(source.data ? source.data : ""), source.size,
                                     options, &error, &offset, NULL);
    if (!code) {
        refuse(failure, source, error, offset);
        return NULL;
    }
    struct pattern *pattern = malloc(sizeof *pattern);
    pcre2_match_context *context = create_limits();
    if (!pattern || !context) {
        pcre2_match_context_free(context);
        pcre2_code_free(code);
        free(pattern);
        failure_out_of_memory(failure);
        return NULL;
    }
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); // where there is none, matching is only slower
    uint32_t all_options = 0;
    pcre2_pattern_info(code, PCRE2_INFO_ALLOPTIONS, &all_options);
    *pattern = (struct pattern){code, context, (all_options & PCRE2_ANCHORED) != 0};
    return pattern;
}

void pattern_free(struct pattern *pattern) {
    if (!pattern)
        return;
    pcre2_match_context_free(pattern->context);
    pcre2_code_free(pattern->code);
    free(pattern);
}

static enum pattern_result result_of(int matched) {
    if (matched >= 0)
        return PATTERN_MATCHES;
    if (matched == PCRE2_ERROR_NOMATCH)
        return PATTERN_DIFFERS;
    return matched == PCRE2_ERROR_NOMEMORY ? PATTERN_NO_MEMORY : PATTERN_TOO_COSTLY;
}

enum pattern_result pattern_match(const struct pattern *pattern, struct text subject) {
    if (!pattern->anchored && subject.size > UNANCHORED_SUBJECT_MAX)
        return PATTERN_TOO_COSTLY;
    // Of its own for each call: what a match writes to is shared by no other thread.
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    if (!data)
        return PATTERN_NO_MEMORY;
    PCRE2_SPTR bytes = (PCRE2_SPTR)(subject.data ? subject.data : "");
    int matched = pcre2_match(pattern->code, bytes, subject.size, 0, PCRE2_NO_UTF_CHECK, data,
                              pattern->context);
    if (matched == PCRE2_ERROR_JIT_STACKLIMIT) // the interpreter keeps its stack on the heap
        matched = pcre2_match(pattern->code, bytes, subject.size, 0,
                              PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data, pattern->context);
    pcre2_match_data_free(data);
    return result_of(matched);
}

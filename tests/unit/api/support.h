// A request and an exchange made by hand, for the tests of single steps.
#pragma once

#include "api/exchange.h"

#include <assert.h>

struct bench {
    struct service_options options;
    struct service service;
    struct http_field fields[8];
    struct http_request request;
    struct exchange exchange;
};

static inline struct exchange *bench_begin(struct bench *bench, enum http_method method,
                                           const char *name, const char *target) {
    *bench = (struct bench){.service = {.options = &bench->options}};
    struct text path = text_from_string(target);
    struct text query = {NULL, 0};
    ptrdiff_t mark = text_find(path, '?');
    if (mark >= 0) {
        query = text_from(path, (size_t)mark + 1);
        path.size = (size_t)mark;
    }
    bench->request = (struct http_request){.method = method,
                                           .method_name = text_from_string(name),
                                           .target = text_from_string(target),
                                           .path = path,
                                           .query = query,
                                           .fields = bench->fields};
    bench->exchange.service = &bench->service;
    bench->exchange.request = &bench->request;
    bench->exchange.faults.arena = &bench->request.arena;
    bench->request.owner = &bench->exchange;
    return &bench->exchange;
}

static inline void bench_field(struct bench *bench, const char *name, const char *value) {
    assert(bench->request.field_count < sizeof bench->fields / sizeof bench->fields[0]);
    bench->fields[bench->request.field_count++] =
        (struct http_field){text_from_string(name), text_from_string(value)};
}

static inline void bench_end(struct bench *bench) {
    buffer_free(&bench->exchange.answer.body);
    buffer_free(&bench->exchange.answer.fields);
    arena_free(&bench->request.arena);
}

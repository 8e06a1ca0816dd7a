// A catalogue made of one definition, and queries of it, for the tests of what works on both.
#pragma once

#include "resource/catalogue.h"
#include "unit/testing.h"

struct fixture {
    struct arena arena; // what a request has
    struct arena diagnostics_arena;
    struct diagnostics diagnostics;
    struct catalogue *catalogue;
    const struct plan *plan;
    const struct resource *resource;
    struct faults faults;
    struct failure failure;
};

static const struct text fixture_key = TEXT_INIT("the key of the cursors in tests");

// Reads one definition, which must be right.
static inline void fixture_begin(struct fixture *fixture, const char *name, const char *yaml,
                                 enum store_dialect dialect) {
    *fixture = (struct fixture){0};
    diagnostics_init(&fixture->diagnostics, &fixture->diagnostics_arena);
    struct text file = arena_format(&fixture->diagnostics_arena, "%s.yaml", name);
    const struct text sources[][2] = {{file, text_from_string(yaml)}};
    fixture->catalogue = catalogue_make(sources, 1, dialect_of(dialect), &fixture->diagnostics);
    for (size_t i = 0; i < fixture->diagnostics.count; i++)
        print_error("line %d: %.*s\n", fixture->diagnostics.items[i].line,
                    TEXT_ARGS(fixture->diagnostics.items[i].message));
    assert_non_null(fixture->catalogue);
    fixture->plan = catalogue_plan(fixture->catalogue, text_from_string(name));
    assert_non_null(fixture->plan);
    fixture->resource = fixture->plan->resource;
}

static inline void fixture_end(struct fixture *fixture) {
    catalogue_release(fixture->catalogue);
    arena_free(&fixture->arena);
    arena_free(&fixture->diagnostics_arena);
}

// Reads "name=value&name=value", in which nothing is encoded.
static inline bool fixture_read(struct fixture *fixture, const char *parameters,
                                struct query *ret_query) {
    struct parameter items[32];
    size_t count = 0;
    struct text rest = text_from_string(parameters);
    struct text part;
    while (*parameters && text_split(&rest, '&', &part)) {
        ptrdiff_t equals = text_find(part, '=');
        assert_true(equals >= 0 && count < 32);
        items[count++] = (struct parameter){text_of(part.data, (size_t)equals),
                                            text_from(part, (size_t)equals + 1)};
    }
    fixture->faults = (struct faults){.arena = &fixture->arena};
    fixture->failure = (struct failure){0};
    return query_read(fixture->resource, items, count, fixture_key, &fixture->arena,
                      &fixture->faults, ret_query, &fixture->failure);
}

// The same, for parameters that must be right.
static inline struct query fixture_query(struct fixture *fixture, const char *parameters) {
    struct query query = {0};
    if (!fixture_read(fixture, parameters, &query))
        print_error("%s: %s\n", parameters, fixture->failure.detail);
    assert_int_equal(fixture->failure.code, FAILURE_NONE);
    assert_true(faults_none(&fixture->faults));
    return query;
}

static inline const struct property *fixture_property(const struct fixture *fixture,
                                                      const char *name) {
    const struct property *property = resource_property(fixture->resource, text_from_string(name));
    assert_non_null(property);
    return property;
}

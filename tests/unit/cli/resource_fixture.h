// A resource made of a definition in memory.
#pragma once

#include "resource/catalogue.h"
#include "unit/testing.h"

struct resource_fixture {
    struct arena arena;
    struct catalogue *catalogue;
    const struct resource *resource;
};

// The definition must be right.
static inline void resource_fixture_begin(struct resource_fixture *fixture, const char *yaml) {
    *fixture = (struct resource_fixture){0};
    const struct text sources[][2] = {{TEXT("things.yaml"), text_from_string(yaml)}};
    struct diagnostics diagnostics;
    diagnostics_init(&diagnostics, &fixture->arena);
    fixture->catalogue = catalogue_make(sources, 1, dialect_of(STORE_SQLITE), &diagnostics);
    for (size_t i = 0; i < diagnostics.count; i++)
        print_error("line %d: %.*s\n", diagnostics.items[i].line,
                    TEXT_ARGS(diagnostics.items[i].message));
    assert_non_null(fixture->catalogue);
    fixture->resource = catalogue_plan(fixture->catalogue, TEXT("things"))->resource;
}

static inline void resource_fixture_end(struct resource_fixture *fixture) {
    catalogue_release(fixture->catalogue);
    arena_free(&fixture->arena);
}

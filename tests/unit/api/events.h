// What the tests of events share: a catalogue, and rows of the outbox and of records as the store
// gives them.
#pragma once

#include "api/event_page.h"
#include "store/scripted_store.h"
#include "unit/testing.h"

static inline struct catalogue *events_catalogue(enum store_dialect dialect) {
    static const struct text sources[][2] = {
        {TEXT_INIT("notes.yaml"),
         TEXT_INIT("access: {read: public, write: public}\nproperties: {extra: {type: object}}\n"
                   "events: true\n")},
        {TEXT_INIT("others.yaml"),
         TEXT_INIT("access: {read: public, write: public}\nproperties: {text: {type: string}}\n"
                   "events: true\n")},
        {TEXT_INIT("secrets.yaml"),
         TEXT_INIT("properties: {text: {type: string}}\nevents: true\n")},
        {TEXT_INIT("silent.yaml"), TEXT_INIT("properties: {text: {type: string}}\n")},
    };
    struct arena arena = {0};
    struct diagnostics diagnostics;
    diagnostics_init(&diagnostics, &arena);
    struct catalogue *catalogue = catalogue_make(sources, sizeof sources / sizeof sources[0],
                                                 dialect_of(dialect), &diagnostics);
    assert_non_null(catalogue);
    arena_free(&arena);
    return catalogue;
}

#define INTEGER(number)                                                                            \
    { .kind = VALUE_INTEGER, .integer = (number) }
#define STRING(string)                                                                             \
    { .kind = VALUE_TEXT, .text = TEXT_INIT(string) }
#define NOTHING                                                                                    \
    { .kind = VALUE_NULL }

// Cells of the outbox's position, of an event, and of a note.
#define POSITION(first, last, oldest, next)                                                        \
    INTEGER(first), INTEGER(last), INTEGER(oldest), INTEGER(next)
#define EVENT_OF(number, resource, key, change, version)                                           \
    INTEGER(number), STRING(resource), STRING(key), STRING(change), version, {                     \
        .kind = VALUE_TIMESTAMP, .text = TEXT_INIT("2026-01-02T03:04:05.006Z")                     \
    }
#define EVENT(number, key, change, version) EVENT_OF(number, "notes", key, change, INTEGER(version))
#define NOTE(id, extra, version)                                                                   \
    INTEGER(id), {.kind = VALUE_JSON, .text = TEXT_INIT(extra)}, INTEGER(version)

enum { POSITION_CELLS = 4, EVENT_CELLS = 6, NOTE_CELLS = 3 };

#define ROWS(cells, width) (sizeof(cells) / sizeof *(cells) / (width))

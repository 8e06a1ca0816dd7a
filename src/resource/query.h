// A query is what a list was asked for: filters, order, page and shape, checked against the
// resource. Everything in it belongs to the arena.
#pragma once

#include "resource/encode.h"
#include "resource/expression.h"
#include "resource/validate.h"

// One query parameter, decoded.
struct parameter {
    struct text name;
    struct text value;
};

struct sort_key {
    const struct property *property;
    bool descending;
};

enum { QUERY_DEFAULT_LIMIT = 100, QUERY_MAX_LIMIT = 1000, QUERY_MAX_SORT_KEYS = 8 };

// How much may be embedded at once: SQLite joins 64 tables, PostgreSQL gives rows of 1,664 columns.
enum { QUERY_MAX_EXPANSIONS = 32, QUERY_MAX_COLUMNS = 1600 };

struct query {
    const struct resource *resource;
    const struct expression *filter; // NULL: all records
    struct sort_key *sort;           // total: its last key is the resource's key, which goes in the
    size_t sort_count; // direction of the last one that was asked for. Properties that
                       // the filter fixes are left out
    unsigned limit;    // of a page
    uint64_t whole;    // of a stream: how many records it may have altogether
    uint64_t offset;
    bool has_offset;
    bool count;
    struct selection selection; // what is shown, then the sort keys that are not, the key, and what
                                // `expansions` are by
    struct expansions expansions; // what is embedded in the records
    const struct resource **seen; // those of whose records the client asked to see something,
    size_t seen_count;            // besides the query's own: it must be allowed to read them
    const struct value *after;    // the position of a cursor (a value for each sort key), or NULL
    bool backward;                // the page before the position, not behind it
    struct text arguments;        // a canonical form of filter and order, to which cursors are tied
};

// Checks the parameters of a list. What does not fit is a fault whose pointer is the parameter's
// name; the failure then has the first one's code: FAILURE_UNKNOWN_PARAMETER (the detail names
// those that exist), FAILURE_INVALID_PARAMETER, FAILURE_INVALID_FILTER, FAILURE_INVALID_CURSOR.
// `cursor_key` is the secret that cursors are authenticated with.
bool query_read(const struct resource *resource, const struct parameter *parameters,
                size_t parameter_count, struct text cursor_key, struct arena *arena,
                struct faults *faults, struct query *ret_query, struct failure *failure);

// The same for a list that has only those records of a resource that belong to something: those
// that `filter` lets through. `name` says what that is, so that no cursor leads from one such list
// to another. The scope must live as long as the query is read.
//
// A list that is a stream has no pages that its client sees: `limit` bounds the whole, to any
// number or none, and a cursor is one that leads forward.
struct query_scope {
    const struct resource *resource;
    const struct expression *filter;
    struct text name; // data NULL: the list has all records
    bool is_stream;
};

bool query_read_within(const struct query_scope *scope, const struct parameter *parameters,
                       size_t parameter_count, struct text cursor_key, struct arena *arena,
                       struct faults *faults, struct query *ret_query, struct failure *failure);

// Whether a list of the resource has a parameter of this name.
bool query_knows_parameter(const struct resource *resource, struct text name);

// Checks the parameters of a single record, which are `fields` and `expand`; faults and failure as
// above. Of the query, `selection`, `expansions` and `seen` are set.
bool query_read_record(const struct resource *resource, const struct parameter *parameters,
                       size_t parameter_count, struct arena *arena, struct faults *faults,
                       struct query *ret_query, struct failure *failure);

// The property, where a condition is just `property = literal` (either way round), `property is
// null` or a boolean property; `ret_literal` gets the value. NULL otherwise.
const struct property *query_equality(const struct expression *expression,
                                      struct value *ret_literal);

// Whether a filter (may be NULL) lets through only records in which a property has one value,
// because it says so; `ret_value` gets it.
bool query_fixes(const struct expression *filter, const struct property *property,
                 struct value *ret_value);

// The place of a row in the query's order: a value for each sort key, which with their texts belong
// to the arena. `cells` are in the query's selection. NULL when there is no memory.
struct value *query_position(const struct query *query, const struct value *cells,
                             struct arena *arena);

// The opaque cursor (base64url, authenticated) of the page that starts behind a row, or, when
// `backward`, of the one that ends before it. `cells` are that row's, in the query's selection.
// data is NULL when there is no memory.
struct text query_cursor(const struct query *query, const struct value *cells, bool backward,
                         struct text cursor_key, struct arena *arena);

#include "api/key_lookup.h"

#include "base/timestamp.h"

enum {
    CELL_ID,
    CELL_PREFIX,
    CELL_SCOPES,
    CELL_ACTIVE,
    CELL_EXPIRES,
    CELL_DIGEST,
    CELL_PREVIOUS_DIGEST,
    CELL_PREVIOUS_EXPIRES,
    CELLS
};

enum { HEX_SIZE = 2 * DIGEST_SIZE };

static const struct column columns[CELLS] = {
    [CELL_ID] = {.kind = VALUE_UUID},
    [CELL_PREFIX] = {.kind = VALUE_TEXT},
    [CELL_SCOPES] = {.kind = VALUE_JSON},
    [CELL_ACTIVE] = {.kind = VALUE_BOOLEAN},
    [CELL_EXPIRES] = {.kind = VALUE_TIMESTAMP},
    [CELL_DIGEST] = {.kind = VALUE_TEXT},
    [CELL_PREVIOUS_DIGEST] = {.kind = VALUE_TEXT},
    [CELL_PREVIOUS_EXPIRES] = {.kind = VALUE_TIMESTAMP},
};

bool key_lookup_plan_make(struct arena *arena, const struct dialect *dialect,
                          struct key_lookup_plan *ret_plan) {
    struct sql sql = sql_begin(dialect, arena);
    sql_text(&sql, "SELECT id, prefix, scopes, active, expires_at, digest, previous_digest, "
                   "previous_expires_at FROM trestle_keys WHERE digest = ");
    dialect->placeholder(&sql, 1, VALUE_TEXT);
    sql_text(&sql, " OR previous_digest = ");
    dialect->placeholder(&sql, 1, VALUE_TEXT);
    return sql_finish(&sql, columns, CELLS, &ret_plan->find);
}

bool key_lookup_call(const struct key_lookup_plan *plan, const unsigned char digest[DIGEST_SIZE],
                     struct arena *arena, struct call *ret_call) {
    char *hex = arena_allocate(arena, HEX_SIZE);
    struct value *parameter = arena_allocate(arena, sizeof *parameter);
    if (!hex || !parameter)
        return false;
    text_hex_encode(digest, DIGEST_SIZE, hex);
    *parameter = value_text(VALUE_TEXT, text_of(hex, HEX_SIZE));
    *ret_call = (struct call){.statement = &plan->find,
                              .parameters = parameter,
                              .parameter_count = 1,
                              .expect = EXPECT_ANY};
    return true;
}

static bool is_digest(struct value cell, const unsigned char digest[DIGEST_SIZE]) {
    unsigned char stored[DIGEST_SIZE];
    return cell.kind == VALUE_TEXT && text_hex_decode(cell.text, stored, sizeof stored) &&
           digest_equal(stored, digest, DIGEST_SIZE);
}

static int64_t instant(struct value cell, int64_t otherwise) {
    int64_t ms;
    return cell.kind == VALUE_TIMESTAMP && timestamp_parse(cell.text, &ms) ? ms : otherwise;
}

static struct text text_in(struct value cell) {
    return value_kind_has_text(cell.kind) ? cell.text : TEXT("");
}

struct api_key *key_lookup_read(const struct value *cells, const unsigned char digest[DIGEST_SIZE],
                                struct failure *failure) {
    struct api_key_row row = {
        .id = text_in(cells[CELL_ID]),
        .prefix = text_in(cells[CELL_PREFIX]),
        .scopes = text_in(cells[CELL_SCOPES]),
        .active = cells[CELL_ACTIVE].kind == VALUE_BOOLEAN && cells[CELL_ACTIVE].boolean,
        .ends_at = instant(cells[CELL_EXPIRES], INT64_MAX),
    };
    if (!is_digest(cells[CELL_DIGEST], digest)) {
        row.replaced = is_digest(cells[CELL_PREVIOUS_DIGEST], digest);
        int64_t grace_ends = row.replaced ? instant(cells[CELL_PREVIOUS_EXPIRES], 0) : 0;
        row.ends_at = grace_ends < row.ends_at ? grace_ends : row.ends_at;
    }
    return api_key_make(&row, failure);
}

#include "store/sqlite/statements.h"

#include <stdlib.h>

bool statements_open(struct statements *statements, sqlite3 *database, size_t limit) {
    size_t buckets = 8;
    while (buckets < limit)
        buckets *= 2;
    *statements = (struct statements){
        .database = database,
        .buckets = calloc(buckets, sizeof *statements->buckets),
        .mask = buckets - 1,
        .limit = limit,
    };
    statements->ring.newer = statements->ring.older = &statements->ring;
    return statements->buckets;
}

static void prepared_free(struct prepared *prepared) {
    sqlite3_finalize(prepared->statement);
    free(prepared);
}

void statements_close(struct statements *statements) {
    if (!statements->buckets)
        return;
    struct prepared *prepared = statements->ring.older;
    while (prepared != &statements->ring) {
        struct prepared *next = prepared->older;
        prepared_free(prepared);
        prepared = next;
    }
    free(statements->buckets);
    *statements = (struct statements){0};
}

static void ring_take_out(struct prepared *prepared) {
    prepared->newer->older = prepared->older;
    prepared->older->newer = prepared->newer;
}

static void ring_put_newest(struct prepared *ring, struct prepared *prepared) {
    prepared->newer = ring;
    prepared->older = ring->older;
    ring->older->newer = prepared;
    ring->older = prepared;
}

static struct prepared *find(struct statements *statements, const struct statement *statement) {
    struct prepared *prepared = statements->buckets[statement->hash & statements->mask];
    while (prepared &&
           !(prepared->hash == statement->hash && text_equal(prepared->sql, statement->sql)))
        prepared = prepared->next;
    return prepared;
}

static void drop_oldest(struct statements *statements) {
    struct prepared *oldest = statements->ring.newer;
    struct prepared **link = &statements->buckets[oldest->hash & statements->mask];
    while (*link != oldest)
        link = &(*link)->next;
    *link = oldest->next;
    ring_take_out(oldest);
    prepared_free(oldest);
    statements->count--;
}

static void keep(struct statements *statements, struct prepared *prepared) {
    if (statements->count == statements->limit)
        drop_oldest(statements);
    struct prepared **bucket = &statements->buckets[prepared->hash & statements->mask];
    prepared->next = *bucket;
    *bucket = prepared;
    ring_put_newest(&statements->ring, prepared);
    statements->count++;
}

static bool is_blank(const char *from, const char *end) {
    while (from < end && strchr(" \t\r\n;", *from))
        from++;
    return from == end;
}

// The text is copied with a zero byte behind it, which spares SQLite a copy of its own.
static struct prepared *prepared_create(const struct statement *statement) {
    struct prepared *prepared = calloc(1, sizeof *prepared + statement->sql.size + 1);
    if (!prepared)
        return NULL;
    char *copy = (char *)(prepared + 1);
    memcpy(copy, statement->sql.data, statement->sql.size);
    prepared->sql = text_of(copy, statement->sql.size);
    prepared->hash = statement->hash;
    prepared->once = statement->once;
    return prepared;
}

static int prepare(sqlite3 *database, struct prepared *prepared) {
    if (prepared->sql.size >= INT32_MAX)
        return SQLITE_TOOBIG;
    const char *tail;
    int code = sqlite3_prepare_v3(database, prepared->sql.data, (int)prepared->sql.size + 1,
                                  prepared->once ? 0 : SQLITE_PREPARE_PERSISTENT,
                                  &prepared->statement, &tail);
    if (code != SQLITE_OK)
        return code;
    if (!prepared->statement || !is_blank(tail, prepared->sql.data + prepared->sql.size))
        return SQLITE_MISUSE;
    prepared->parameter_count = (size_t)sqlite3_bind_parameter_count(prepared->statement);
    prepared->column_count = (size_t)sqlite3_column_count(prepared->statement);
    return SQLITE_OK;
}

int statements_get(struct statements *statements, const struct statement *statement,
                   struct prepared **ret_prepared) {
    struct prepared *prepared = statement->once ? NULL : find(statements, statement);
    if (prepared) {
        ring_take_out(prepared);
        ring_put_newest(&statements->ring, prepared);
        *ret_prepared = prepared;
        return SQLITE_OK;
    }
    prepared = prepared_create(statement);
    if (!prepared)
        return SQLITE_NOMEM;
    int code = prepare(statements->database, prepared);
    if (code != SQLITE_OK) {
        prepared_free(prepared);
        return code;
    }
    if (!prepared->once)
        keep(statements, prepared);
    *ret_prepared = prepared;
    return SQLITE_OK;
}

void statements_release(struct prepared *prepared) {
    if (prepared->once)
        prepared_free(prepared);
    else
        sqlite3_reset(prepared->statement);
}

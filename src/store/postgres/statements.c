#include "store/postgres/statements.h"

#include <stdio.h>
#include <stdlib.h>

bool pg_statements_open(struct pg_statements *statements, size_t limit) {
    size_t buckets = 8;
    while (buckets < limit)
        buckets *= 2;
    *statements = (struct pg_statements){
        .buckets = calloc(buckets, sizeof(struct pg_prepared *)),
        .mask = buckets - 1,
        .limit = limit,
    };
    statements->ring.newer = statements->ring.older = &statements->ring;
    return statements->buckets;
}

void pg_statements_close(struct pg_statements *statements) {
    if (!statements->buckets)
        return;
    struct pg_prepared *prepared = statements->ring.older;
    while (prepared != &statements->ring) {
        struct pg_prepared *next = prepared->older;
        free(prepared);
        prepared = next;
    }
    while ((prepared = pg_statements_take_doomed(statements)))
        free(prepared);
    free(statements->buckets);
    *statements = (struct pg_statements){0};
}

static void ring_take_out(struct pg_prepared *prepared) {
    prepared->newer->older = prepared->older;
    prepared->older->newer = prepared->newer;
}

static void ring_put_newest(struct pg_prepared *ring, struct pg_prepared *prepared) {
    prepared->newer = ring;
    prepared->older = ring->older;
    ring->older->newer = prepared;
    ring->older = prepared;
}

// Where the pointer to it is, in its bucket.
static struct pg_prepared **place_of(struct pg_statements *statements, uint64_t hash,
                                     struct text sql) {
    struct pg_prepared **place = &statements->buckets[hash & statements->mask];
    while (*place && !((*place)->hash == hash && text_equal((*place)->sql, sql)))
        place = &(*place)->next;
    return place;
}

struct pg_prepared *pg_statements_find(struct pg_statements *statements,
                                       const struct statement *statement) {
    struct pg_prepared *prepared = *place_of(statements, statement->hash, statement->sql);
    if (prepared) {
        ring_take_out(prepared);
        ring_put_newest(&statements->ring, prepared);
    }
    return prepared;
}

static void doom(struct pg_statements *statements, struct pg_prepared **place) {
    struct pg_prepared *prepared = *place;
    *place = prepared->next;
    ring_take_out(prepared);
    statements->count--;
    prepared->next = statements->doomed;
    statements->doomed = prepared;
}

struct pg_prepared *pg_statements_add(struct pg_statements *statements,
                                      const struct statement *statement) {
    struct pg_prepared *prepared = calloc(1, sizeof *prepared + statement->sql.size + 1);
    if (!prepared)
        return NULL;
    if (statements->count == statements->limit) {
        const struct pg_prepared *oldest = statements->ring.newer;
        doom(statements, place_of(statements, oldest->hash, oldest->sql));
    }
    char *copy = (char *)(prepared + 1);
    memcpy(copy, statement->sql.data, statement->sql.size);
    prepared->sql = text_of(copy, statement->sql.size);
    prepared->hash = statement->hash;
    (void)snprintf(prepared->name, sizeof prepared->name, "t%u", ++statements->last_name);
    struct pg_prepared **bucket = &statements->buckets[prepared->hash & statements->mask];
    prepared->next = *bucket;
    *bucket = prepared;
    ring_put_newest(&statements->ring, prepared);
    statements->count++;
    return prepared;
}

void pg_statements_forget(struct pg_statements *statements, const struct statement *statement) {
    struct pg_prepared **place = place_of(statements, statement->hash, statement->sql);
    if (*place)
        doom(statements, place);
}

struct pg_prepared *pg_statements_take_doomed(struct pg_statements *statements) {
    struct pg_prepared *prepared = statements->doomed;
    if (prepared)
        statements->doomed = prepared->next;
    return prepared;
}

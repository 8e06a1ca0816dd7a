#include "cli/copy_table.h"

#include "cli/row_digest.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    BATCH_RECORDS = 1000, // in one job
    BATCH_BYTES = 1 << 20,
    BATCHES = 2, // one is filled while the other is written
};

static void advance(struct copying *copying) {
    progress_update(&copying->progress, ++copying->done);
}

// ---- Comparing

// Both tables while they are read side by side.
struct pairing {
    const struct table_copy *copy;
    struct pages source;
    struct pages target;
    const struct value *ours;   // the source's next record; NULL: it has no more
    const struct value *theirs; // the target's
    struct row_digest source_digest;
    struct row_digest target_digest;
    bool partly;         // what a record may refer to before it is there is not compared
    struct value *cells; // the row that is digested, without that
};

static bool open_pairing(struct pairing *pairing, const struct table_copy *copy,
                         struct copying *copying, bool partly) {
    *pairing = (struct pairing){
        .copy = copy,
        .partly = partly,
        .cells = calloc(copy->from->selection.count, sizeof *pairing->cells),
    };
    return pairing->cells &&
           pages_open(&pairing->source, &copying->source, copy->from, PAGES_STORED, NULL) &&
           pages_open(&pairing->target, &copying->target, copy->to, PAGES_STORED, NULL);
}

static void close_pairing(struct pairing *pairing) {
    pages_close(&pairing->source);
    pages_close(&pairing->target);
    row_digest_free(&pairing->source_digest);
    row_digest_free(&pairing->target_digest);
    free(pairing->cells);
}

static bool digest(struct pairing *pairing, struct row_digest *digest, const struct value *cells) {
    const struct plan *plan = pairing->copy->from;
    size_t count = plan->selection.count;
    for (size_t i = 0; i < count; i++) {
        const struct property *property = plan->selection.properties[i];
        bool forward = property && reference_is_forward(plan->resource, property);
        pairing->cells[i] = pairing->partly && forward ? value_null() : cells[i];
    }
    return row_digest_add(digest, pairing->cells, count);
}

static bool digest_both(struct pairing *pairing) {
    return digest(pairing, &pairing->source_digest, pairing->ours) &&
           digest(pairing, &pairing->target_digest, pairing->theirs);
}

// "things/5", for people; "things" when there is no memory.
static void name_record(const struct plan *plan, const struct value *key, char out[200]) {
    struct buffer name = {0};
    buffer_append_text(&name, plan->resource->name);
    buffer_append_byte(&name, '/');
    encode_key(&name, plan->resource->key.property, *key);
    struct text text = name.failed ? plan->resource->name : buffer_text(&name);
    (void)snprintf(out, 200, "%.*s", TEXT_ARGS(text));
    buffer_free(&name);
}

// Says where the two part.
static bool refuse_difference(const struct pairing *pairing, const char *advice,
                              struct failure *failure) {
    const struct plan *plan = pairing->copy->from;
    size_t key = pages_key(&pairing->source);
    char ours[200] = "";
    char theirs[200] = "";
    if (pairing->ours)
        name_record(plan, &pairing->ours[key], ours);
    if (pairing->theirs)
        name_record(plan, &pairing->theirs[key], theirs);
    if (!*ours || !*theirs)
        return failure_set(failure, FAILURE_REFUSED, "the %s has %s, which the %s has not; %s",
                           *ours ? "source" : "target", *ours ? ours : theirs,
                           *ours ? "target" : "source", advice);
    if (strcmp(ours, theirs) != 0)
        return failure_set(failure, FAILURE_REFUSED,
                           "the target has %s where the source has %s; %s", theirs, ours, advice);
    return failure_set(failure, FAILURE_REFUSED, "%s is not the same in both; %s", ours, advice);
}

// Reads on in both while they have the same; ends where the target does, or where they part.
static bool compare(struct pairing *pairing, struct copying *copying, bool *ret_part,
                    struct failure *failure) {
    for (*ret_part = false; !*ret_part;) {
        if (!pages_next(&pairing->target, &pairing->theirs, failure) ||
            !pages_next(&pairing->source, &pairing->ours, failure))
            return false;
        if (!pairing->theirs)
            return true;
        if (pairing->ours && !digest_both(pairing))
            return failure_out_of_memory(failure);
        *ret_part =
            !pairing->ours || !row_digest_equal(&pairing->source_digest, &pairing->target_digest);
        advance(copying);
    }
    return true;
}

// ---- Before

static const char resume_advice[] =
    "the target must be empty, or one to which an earlier run copied a part of the source, neither "
    "of which has changed since";

// Notes what the target has.
static bool note_there(struct table_copy *copy, const struct pairing *pairing) {
    const struct value *last = pages_last_key(&pairing->target);
    copy->there = pairing->target_digest.count;
    return !last || value_copy(&copy->arena, *last, &copy->last);
}

bool table_copy_resume(struct table_copy *copy, struct copying *copying, struct failure *failure) {
    struct pairing pairing;
    bool parts;
    bool ok = open_pairing(&pairing, copy, copying, true) || failure_out_of_memory(failure);
    ok = ok && compare(&pairing, copying, &parts, failure);
    if (ok && parts)
        ok = refuse_difference(&pairing, resume_advice, failure);
    else if (ok)
        ok = note_there(copy, &pairing) || failure_out_of_memory(failure);
    close_pairing(&pairing);
    return ok;
}

// ---- Copying

// Records that are written together. It owns what their calls need.
struct batch {
    struct arena arena;
    struct call *calls; // BATCH_RECORDS of them
    size_t count;
    size_t bytes;
};

struct filling {
    struct table_copy *copy;
    struct copying *copying;
    struct pages source;
    struct batch batches[BATCHES];
    size_t filled; // the one that is being filled
    bool writes;   // another is under way
    bool relates;  // the records are there, but for what they refer to
};

static bool open_filling(struct filling *filling, struct table_copy *copy, struct copying *copying,
                         bool relates) {
    const struct value *after = value_is_null(copy->last) || relates ? NULL : &copy->last;
    bool ok = true;
    *filling = (struct filling){.copy = copy, .copying = copying, .relates = relates};
    for (size_t i = 0; i < BATCHES; i++) {
        struct batch *batch = &filling->batches[i];
        batch->calls = calloc(BATCH_RECORDS, sizeof *batch->calls);
        ok = ok && batch->calls;
    }
    return ok && pages_open(&filling->source, &copying->source, copy->from, PAGES_STORED, after);
}

static void close_filling(struct filling *filling) {
    struct failure ignored; // there is another already
    if (filling->writes)
        (void)caller_finish(&filling->copying->target, &ignored);
    pages_close(&filling->source);
    for (size_t i = 0; i < BATCHES; i++) {
        arena_free(&filling->batches[i].arena);
        free(filling->batches[i].calls);
    }
}

// What became of the batch that is under way, if one is; the record at fault is named.
static bool finish_batch(struct filling *filling, struct failure *failure) {
    struct caller *target = &filling->copying->target;
    const struct job *job = &target->job;
    char name[200];
    if (!filling->writes)
        return true;
    filling->writes = false;
    if (caller_finish(target, failure))
        return true;
    if (target->outcome.kind == OUTCOME_UNKNOWN)
        return failure_set(failure, failure->code, "%s; run it again, and it goes on",
                           failure->detail);
    bool is_own = target->outcome.kind == OUTCOME_CONFLICT ||
                  target->outcome.kind == OUTCOME_UNEXPECTED ||
                  target->outcome.kind == OUTCOME_FAILED;
    if (!is_own || target->outcome.call >= job->call_count)
        return false;
    const struct call *call = &job->calls[target->outcome.call];
    size_t key = filling->relates ? call->parameter_count - 1 : pages_key(&filling->source);
    name_record(filling->copy->to, &call->parameters[key], name);
    return failure_set(failure, failure->code, "%s cannot be stored: %s", name, failure->detail);
}

// Starts to write what was gathered, once all before it is there, and begins with the next batch.
static bool write_batch(struct filling *filling, struct failure *failure) {
    struct batch *batch = &filling->batches[filling->filled];
    if (!finish_batch(filling, failure))
        return false;
    filling->writes = batch->count > 0;
    if (filling->writes)
        caller_start(
            &filling->copying->target,
            &(struct job){.kind = JOB_WRITE, .calls = batch->calls, .call_count = batch->count});
    filling->filled = (filling->filled + 1) % BATCHES;
    batch = &filling->batches[filling->filled];
    arena_reset(&batch->arena);
    batch->count = 0;
    batch->bytes = 0;
    return true;
}

static size_t cells_size(const struct value *cells, size_t count) {
    size_t size = count * sizeof *cells;
    for (size_t i = 0; i < count; i++)
        size += value_kind_has_text(cells[i].kind) ? cells[i].text.size : 0;
    return size;
}

static bool add_record(struct filling *filling, const struct value *cells,
                       struct failure *failure) {
    struct batch *batch = &filling->batches[filling->filled];
    struct call *call = &batch->calls[batch->count];
    bool planned = filling->relates ? plan_relate(filling->copy->to, cells, &batch->arena, call)
                                    : plan_restore(filling->copy->to, cells, &batch->arena, call);
    if (!planned)
        return failure_out_of_memory(failure);
    advance(filling->copying);
    if (!call->statement) // it refers to nothing
        return true;
    call->expect = 1;
    batch->count++;
    batch->bytes += cells_size(cells, filling->source.selection.count);
    return (batch->count < BATCH_RECORDS && batch->bytes < BATCH_BYTES) ||
           write_batch(filling, failure);
}

static bool fill(struct filling *filling, struct failure *failure) {
    const struct value *cells;
    for (;;) {
        if (!pages_next(&filling->source, &cells, failure))
            return false;
        if (!cells)
            return write_batch(filling, failure) && finish_batch(filling, failure);
        if (!add_record(filling, cells, failure))
            return false;
    }
}

// ---- Numbers

static bool on_number(struct job *job, size_t call, const struct value *cells) {
    int64_t *number = job->owner;
    *number = value_is_null(cells[0]) ? 0 : cells[0].integer;
    return true;
}

// The rows come again.
static void on_restart(struct job *job) {}

// The last number that a database made: 0 where it made none, -1 where it does not count. (A table
// that somebody else made may do without; SQLite then goes on behind the largest key.)
static bool last_number(struct caller *caller, const struct plan *plan, struct arena *arena,
                        int64_t *ret_number, struct failure *failure) {
    struct call call;
    *ret_number = 0;
    if (!plan_last_number(plan, arena, &call))
        return failure_out_of_memory(failure);
    struct job job = {.kind = JOB_READ,
                      .calls = &call,
                      .call_count = 1,
                      .owner = ret_number,
                      .on_row = on_number,
                      .on_restart = on_restart};
    if (caller_run(caller, &job, failure))
        return true;
    *ret_number = -1;
    return caller->outcome.kind == OUTCOME_FAILED;
}

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static bool continue_numbers(const struct table_copy *copy, struct copying *copying,
                             const struct value *last, struct arena *arena,
                             struct failure *failure) {
    struct call call;
    int64_t made;
    int64_t known;
    if (!last_number(&copying->source, copy->from, arena, &made, failure) ||
        !last_number(&copying->target, copy->to, arena, &known, failure))
        return false;
    int64_t number = larger(made, last ? last->integer : 0);
    if (known < 0 || number <= known)
        return true;
    if (!plan_continue_numbers(copy->to, number, arena, &call))
        return failure_out_of_memory(failure);
    struct job job = {.kind = JOB_WRITE, .calls = &call, .call_count = 1};
    return caller_run(&copying->target, &job, failure);
}

bool table_copy_fill(struct table_copy *copy, struct copying *copying, struct failure *failure) {
    struct filling filling;
    struct arena arena = {0};
    bool ok = open_filling(&filling, copy, copying, false) || failure_out_of_memory(failure);
    ok = ok && fill(&filling, failure);
    if (ok && copy->from->resource->key.kind == KEY_INTEGER)
        ok = continue_numbers(copy, copying, pages_last_key(&filling.source), &arena, failure);
    arena_free(&arena);
    close_filling(&filling);
    return ok;
}

// ---- References

bool table_copy_has_forward(const struct table_copy *copy) {
    const struct resource *resource = copy->to->resource;
    for (size_t i = 0; i < resource->property_count; i++) {
        if (reference_is_forward(resource, &resource->properties[i]))
            return true;
    }
    return false;
}

bool table_copy_relate(struct table_copy *copy, struct copying *copying, struct failure *failure) {
    struct filling filling;
    if (!table_copy_has_forward(copy))
        return true;
    bool ok = open_filling(&filling, copy, copying, true) || failure_out_of_memory(failure);
    ok = ok && fill(&filling, failure);
    close_filling(&filling);
    return ok;
}

// ---- Afterwards

static const char verify_advice[] = "was the source written to meanwhile? Stop what writes to it, "
                                    "empty the target, and copy again";

bool table_copy_verify(struct table_copy *copy, struct copying *copying, struct failure *failure) {
    struct pairing pairing;
    bool parts;
    bool ok = open_pairing(&pairing, copy, copying, false) || failure_out_of_memory(failure);
    ok = ok && compare(&pairing, copying, &parts, failure);
    if (ok && (parts || pairing.ours))
        ok = refuse_difference(&pairing, verify_advice, failure);
    if (ok) {
        copy->count = pairing.target_digest.count;
        memcpy(copy->digest, pairing.target_digest.digest, DIGEST_SIZE);
    }
    close_pairing(&pairing);
    return ok;
}

void table_copy_free(struct table_copy *copy) {
    arena_free(&copy->arena);
}

// What the handlers of records share.
#pragma once

#include "api/exchange.h"

// The types of answers that are records.
enum { RECORD_MEDIA = 1U << MEDIA_JSON | 1U << MEDIA_HAL };

// How often the store is asked for one request when others change the same record meanwhile, before
// the client is told.
enum { RECORD_MAX_ROUNDS = 40 };

static inline struct arena *arena_of(struct exchange *exchange) {
    return &exchange->request->arena;
}

static inline const struct resource *resource_of(const struct exchange *exchange) {
    return exchange->plan->resource;
}

// The path's key, as the step "prepare". What can be no key at all is a mistake (400); a string or
// a digest that no record has is just not there (404).
enum step_result record_read_key(struct exchange *exchange);

// Values for one record, all null; NULL when there is no memory.
struct value *record_values(struct exchange *exchange);

struct validation record_validation(struct exchange *exchange);

// Makes the exchange's first call the whole job; `planned` is what planning it gave.
enum step_result record_job(struct exchange *exchange, enum job_kind kind, bool planned);

// Begins again with the stage that reads the record, unless that was done too often already.
enum step_result record_read_again(struct exchange *exchange, unsigned stage);

// Plans, for the step "plan": read the record of exchange->key; create one of exchange->values.
enum step_result record_plan_read(struct exchange *exchange);
enum step_result record_plan_create(struct exchange *exchange);

// A row of which a record is made: `cells` in the order of `selection`, and behind them those of
// the query's expansions; `shown_cells`, which may be the same, in the order of what is `shown`.
struct record_row {
    const struct selection *selection;
    const struct value *cells;
    const struct selection *shown;
    const struct value *shown_cells;
};

// Writes the record in exchange->media; false when there is no memory.
bool record_write(struct exchange *exchange, const struct record_row *row);

// Rows: writes a record in full; and notes its key too, for Location.
bool record_write_row(struct exchange *exchange, size_t call, const struct value *cells);
bool record_on_new_row(struct exchange *exchange, size_t call, const struct value *cells);

// The steps of a list: of the resource, or of what exchange->listed has within a scope that belongs
// to the record of exchange->key. The job's calls are the page and, where it is asked for, the
// count.
enum step_result record_prepare_list(struct exchange *exchange, const struct query_scope *scope);
enum step_result record_plan_page(struct exchange *exchange);
bool record_on_page_row(struct exchange *exchange, size_t call, const struct value *cells);
enum step_result record_settle_page(struct exchange *exchange);

// Writes the field that tells the count.
void record_write_total(struct exchange *exchange);

// The cell of a property in a row of the plan's selection, which must have it.
const struct value *record_cell(const struct plan *plan, const struct value *cells,
                                const struct property *property);

// Where in the body the record is that a call of the job is about: "", or "/3" in an array.
struct text record_place(struct exchange *exchange, size_t call);

// Of handlers that read a record, and write what becomes of it under the version that was read.
enum change_stage { CHANGE_READ, CHANGE_WRITE, CHANGE_CREATE };
enum step_result record_plan_change(struct exchange *exchange);
bool record_on_change_row(struct exchange *exchange, size_t call, const struct value *cells);

// Whether the store did what it was asked; sets the failure otherwise.
bool record_is_done(struct exchange *exchange);

// Answers: JSON with a tag; the record in full, of exchange->version; that with a Location; 404;
// 400 with the faults that were noted. The tag of a list is made of its bytes, and so is, beside
// the version, that of a record with links, or in which others are embedded.
bool record_tag_is_hashed(const struct exchange *exchange);
enum step_result record_answer(struct exchange *exchange, unsigned status, struct etag etag);
enum step_result record_answer_whole(struct exchange *exchange, unsigned status);
enum step_result record_answer_created(struct exchange *exchange, unsigned status);
enum step_result record_missing(struct exchange *exchange);
enum step_result record_invalid(struct exchange *exchange);

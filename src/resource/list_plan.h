// The plans of lists: the statement that gives the page which a query asks for, with what is
// embedded in its records, and what can be said of how long it takes. They are made for each query,
// in its arena.
#pragma once

#include "resource/plan.h"

// The page that a query asks for, with one row more than the limit where there is one, so that the
// caller knows whether a next page is there. A backward page comes in reverse order. Positions are
// served as a union of ranges, each a stretch of the order's index. Rows have the cells of the
// query's selection, and behind them those of its expansions.
bool plan_list(const struct plan *plan, const struct query *query, int64_t now, struct arena *arena,
               struct call *ret_call);

// Whether that page can be served by the key or an index without looking at more rows than it gives
// (so that it may run as a JOB_READ), judged by the definition alone. It is, where nothing is
// counted, the offset is at most QUERY_MAX_LIMIT, and either the filter gives values to the key or
// to all of a unique group, or all of the filter gives values to the first columns of an index (the
// key alone is one, too) whose next columns are the order, all in one direction. Equality is all
// that counts: any other condition may have to look at every record to find one more, and one that
// looks into what is referred to may have to look at all of that.
bool plan_list_is_short(const struct query *query);

// Whether the list's order is the key's or an index's, in one direction, behind columns to which
// the filter gives values; or at most one record passes the filter. Then the database can begin
// with a page anywhere in the order without sorting what is there, as it has to for each page
// otherwise. By the definition alone, as above.
bool plan_order_is_indexed(const struct query *query);

// How many records the query's filter lets through: one row, one VALUE_INTEGER.
bool plan_count(const struct plan *plan, const struct query *query, int64_t now,
                struct arena *arena, struct call *ret_call);

// A record with those that it refers to, in one statement: the cells of plan->selection, and behind
// them those of the expansions, one after the other.
bool plan_read_expanded(const struct plan *plan, struct value key,
                        const struct expansions *expansions, struct arena *arena,
                        struct call *ret_call);

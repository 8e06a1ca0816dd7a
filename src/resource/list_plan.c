#include "resource/list_plan.h"

#include "resource/plan_parts.h"

enum { MAX_KEYS = QUERY_MAX_SORT_KEYS + 1 };

// How a column of a range stands to the position.
enum relation { RELATION_GREATER, RELATION_LESS, RELATION_NOT_NULL, RELATION_NULL };

static const char *const relations[] = {
    [RELATION_GREATER] = " > ",
    [RELATION_LESS] = " < ",
    [RELATION_NOT_NULL] = " IS NOT NULL",
    [RELATION_NULL] = " IS NULL",
};

// A stretch of the order: the keys before `key` are equal to the position's, and `key` is beyond.
struct range {
    size_t key;
    enum relation relation;
};

// ---- Which index serves a list ----

// The columns of an index: those of its group, then the resource's key.
static const struct property *index_column(const struct query *query,
                                           const struct column_group *group, size_t column) {
    if (column < group->property_count)
        return group->properties[column];
    return column == group->property_count ? query->resource->key.property : NULL;
}

// How many of an index's columns, from the first one on, the filter fixes.
static size_t count_fixed_columns(const struct query *query, const struct column_group *group) {
    struct value value;
    size_t column = 0;
    while (column < group->property_count &&
           query_fixes(query->filter, group->properties[column], &value))
        column++;
    return column;
}

// Whether an index has the order, in one direction, behind the columns that the filter fixes.
static bool index_orders(const struct query *query, const struct column_group *group) {
    size_t column = count_fixed_columns(query, group);
    for (size_t key = 0; key < query->sort_count; key++, column++)
        if (index_column(query, group, column) != query->sort[key].property ||
            query->sort[key].descending != query->sort[0].descending)
            return false;
    return true;
}

// Whether the page is one stretch of an index: its first columns are those that the filter fixes,
// all of them, and the next ones are the order, in one direction.
static bool index_serves(const struct query *query, const struct column_group *group) {
    const struct resource *resource = query->resource;
    struct value value;
    size_t fixed = 0;
    for (size_t i = 0; i < resource->property_count; i++)
        fixed += query_fixes(query->filter, &resource->properties[i], &value);
    return count_fixed_columns(query, group) == fixed && index_orders(query, group);
}

// A unique index has no key behind its columns on every database, so that it breaks ties only where
// there are none: among records that lack nothing.
static bool unique_is_total(const struct column_group *group) {
    for (size_t i = 0; i < group->property_count; i++)
        if (!group->properties[i]->required)
            return false;
    return true;
}

// The declared index of which the page is one stretch, or NULL.
static const struct column_group *serving_index(const struct query *query) {
    const struct resource *resource = query->resource;
    for (size_t i = 0; i < resource->index_count; i++)
        if (index_serves(query, &resource->indexes[i]))
            return &resource->indexes[i];
    for (size_t i = 0; i < resource->unique_count; i++)
        if (unique_is_total(&resource->unique[i]) && index_serves(query, &resource->unique[i]))
            return &resource->unique[i];
    return NULL;
}

// ---- The SQL of a list ----

// A list's SQL in the making. What a range needs more than once is bound once: parameters are
// numbered, and the filter's text is kept to be repeated.
struct list {
    struct sql sql;
    const struct query *query;
    int64_t now;
    struct text filter;         // its SQL, once it was written
    size_t positions[MAX_KEYS]; // the numbers of the position's parameters; 0: not bound yet
    size_t limit;               // the number of the limit's parameter
    struct range ranges[2 * MAX_KEYS];
    size_t range_count;
};

static bool key_is_descending(const struct query *query, size_t key) {
    return query->sort[key].descending != query->backward;
}

// Only the resource's key has a NOT NULL in its table. What the definition requires may be missing
// in records that are older than the rule, and they must not be lost between two pages.
static bool key_has_nulls(const struct query *query, size_t key) {
    return query->sort[key].property != query->resource->key.property;
}

static void add_range(struct list *list, size_t key, enum relation relation) {
    list->ranges[list->range_count++] = (struct range){key, relation};
}

// The stretches beyond the position, in their order. Nulls are the smallest of all, and no
// comparison of SQL's finds them, so they are a stretch of their own.
static void find_ranges(struct list *list) {
    const struct query *query = list->query;
    for (size_t key = query->sort_count; key-- > 0;) {
        bool at_null = value_is_null(query->after[key]);
        if (!key_is_descending(query, key)) {
            add_range(list, key, at_null ? RELATION_NOT_NULL : RELATION_GREATER);
        } else if (!at_null) {
            add_range(list, key, RELATION_LESS);
            if (key_has_nulls(query, key))
                add_range(list, key, RELATION_NULL);
        }
    }
}

static void append_direction(struct sql *sql, bool descending, bool has_nulls) {
    if (!has_nulls)
        sql_text(sql, descending ? " DESC" : " ASC");
    else
        buffer_append_text(&sql->text, descending ? sql->dialect->order_descending
                                                  : sql->dialect->order_ascending);
}

static void append_bound(struct list *list, size_t *number, struct value value) {
    if (*number == 0) {
        sql_value(&list->sql, value);
        *number = list->sql.parameter_count;
    } else {
        list->sql.dialect->placeholder(&list->sql, *number, value.kind);
    }
}

static void append_filter(struct list *list) {
    struct sql *sql = &list->sql;
    if (list->filter.data) {
        sql_text(sql, list->filter.data);
        return;
    }
    size_t start = sql->text.size;
    sql_expression(sql, list->query->filter, list->now);
    if (sql->text.failed)
        return;
    // A copy, because the buffer moves while it grows.
    list->filter = arena_copy(sql->arena, text_from(buffer_text(&sql->text), start));
    if (!list->filter.data)
        sql->failed = true;
}

static void append_equal(struct list *list, size_t key) {
    sql_name(&list->sql, list->query->sort[key].property->name);
    if (value_is_null(list->query->after[key])) {
        sql_text(&list->sql, " IS NULL");
    } else {
        sql_text(&list->sql, " = ");
        append_bound(list, &list->positions[key], list->query->after[key]);
    }
}

static void append_range_conditions(struct list *list, const struct range *range) {
    for (size_t key = 0; key < range->key; key++) {
        append_equal(list, key);
        sql_text(&list->sql, " AND ");
    }
    sql_name(&list->sql, list->query->sort[range->key].property->name);
    sql_text(&list->sql, relations[range->relation]);
    if (range->relation == RELATION_GREATER || range->relation == RELATION_LESS)
        append_bound(list, &list->positions[range->key], list->query->after[range->key]);
}

static void append_conditions(struct list *list, const struct range *range) {
    const char *word = " WHERE ";
    if (list->query->filter) {
        sql_text(&list->sql, word);
        append_filter(list);
        word = " AND ";
    }
    if (range) {
        sql_text(&list->sql, word);
        append_range_conditions(list, range);
    }
}

// PostgreSQL does not see that what IS NULL is in the order of an index on it, unless that order is
// said: the first columns of the index that serves the list, where the filter wants null in them.
static bool append_order_of_nulls(struct list *list) {
    const struct query *query = list->query;
    const struct column_group *index = serving_index(query);
    struct value value;
    bool any = false;
    for (size_t i = 0; index && i < index->property_count; i++) {
        const struct property *property = index->properties[i];
        if (!query_fixes(query->filter, property, &value))
            break;
        if (!value_is_null(value))
            continue;
        sql_text(&list->sql, any ? ", " : " ORDER BY ");
        sql_name(&list->sql, property->name);
        append_direction(&list->sql, key_is_descending(query, 0), true);
        any = true;
    }
    return any;
}

// The order by the keys from `first` on, behind what was said of it already, of columns of `table`
// ("" where that goes without saying). The resource's key has no nulls, so nothing is said about
// where they go, and the index of the key itself fits on every database.
static void append_order(struct list *list, const char *table, bool begun, size_t first) {
    struct sql *sql = &list->sql;
    for (size_t key = first; key < list->query->sort_count; key++) {
        sql_text(sql, key == first && !begun ? " ORDER BY " : ", ");
        sql_text(sql, table);
        sql_name(sql, list->query->sort[key].property->name);
        append_direction(sql, key_is_descending(list->query, key), key_has_nulls(list->query, key));
    }
}

static void append_limit(struct list *list) {
    sql_text(&list->sql, " LIMIT ");
    append_bound(list, &list->limit, value_integer((int64_t)list->query->limit + 1));
}

static void append_select(struct list *list, const struct range *range) {
    struct sql *sql = &list->sql;
    sql_text(sql, "SELECT ");
    plan_append_selection(sql, &list->query->selection);
    sql_text(sql, " FROM ");
    sql_name(sql, list->query->resource->table);
    append_conditions(list, range);
    // Keys that are the same all over the range need no sorting. PostgreSQL sees that by itself,
    // and must be told all the same: it does not see that what IS NULL is in the order of its
    // index.
    bool begun = false;
    size_t first = 0;
    if (sql->dialect->store == STORE_POSTGRES)
        begun = append_order_of_nulls(list);
    else if (range)
        first = range->relation == RELATION_NULL ? range->key + 1 : range->key;
    append_order(list, "", begun, first);
    append_limit(list);
}

// Each range is a stretch of the order's index, and ends by itself when the page is full; the limit
// outside keeps those behind it from being looked at. SQLite gives the rows of a union's parts one
// part after the other. PostgreSQL promises no such thing, so there the order is said once more: it
// merges the parts, which are sorted already, and looks at one row of each in advance.
static void append_union(struct list *list) {
    struct sql *sql = &list->sql;
    for (size_t i = 0; i < list->range_count; i++) {
        sql_text(sql, i ? " UNION ALL SELECT * FROM (" : "SELECT * FROM (");
        append_select(list, &list->ranges[i]);
        sql_text(sql, ") AS part");
    }
    if (sql->dialect->store == STORE_POSTGRES)
        append_order(list, "", false, 0);
    append_limit(list);
}

static void append_page(struct list *list) {
    if (list->query->after)
        find_ranges(list);
    if (list->range_count > 1)
        append_union(list);
    else
        append_select(list, list->range_count ? &list->ranges[0] : NULL);
    if (list->query->offset > 0) {
        sql_text(&list->sql, " OFFSET ");
        sql_value(&list->sql, value_integer((int64_t)list->query->offset));
    }
}

// ---- What is embedded ----

// The records that a page's refer to are joined to the finished page, so that nothing about how
// that is found depends on them. Aliases have a _ at their beginning, which no resource has.

static const char page_prefix[] = "\"_page\".";

static void append_expanded_begin(struct sql *sql, const struct selection *selection,
                                  const struct expansions *expansions) {
    for (size_t i = 0; i < selection->count; i++) {
        const struct property *property = selection->properties[i];
        sql_text(sql, i ? ", " : "SELECT ");
        sql_text(sql, page_prefix);
        sql_name(sql, property ? property->name : version_column);
    }
    for (size_t i = 0; i < expansions->count; i++) {
        const struct selection *embedded = &expansions->items[i].selection;
        for (size_t j = 0; j < embedded->count; j++) {
            buffer_format(&sql->text, ", \"_%zu\".", i);
            sql_name(sql, embedded->properties[j]->name);
        }
    }
    sql_text(sql, " FROM (");
}

static void append_expanded_end(struct sql *sql, const struct expansions *expansions) {
    sql_text(sql, ") AS \"_page\"");
    for (size_t i = 0; i < expansions->count; i++) {
        const struct property *property = expansions->items[i].property;
        const struct resource *target = property->reference.resource;
        sql_text(sql, " LEFT JOIN ");
        sql_name(sql, target->table);
        buffer_format(&sql->text, " AS \"_%zu\" ON \"_%zu\".", i, i);
        sql_name(sql, target->key.property->name);
        sql_text(sql, " = ");
        sql_text(sql, page_prefix);
        sql_name(sql, property->name);
    }
}

static bool finish_expanded(struct sql *sql, const struct selection *selection,
                            const struct expansions *expansions, struct call *ret_call) {
    size_t count = selection->count;
    for (size_t i = 0; i < expansions->count; i++)
        count += expansions->items[i].selection.count;
    struct column *columns = arena_allocate_zero(sql->arena, count, sizeof *columns);
    if (!columns) {
        sql->failed = true;
    } else {
        plan_set_columns(columns, selection);
        size_t column = selection->count;
        for (size_t i = 0; i < expansions->count; i++) {
            plan_set_columns(columns + column, &expansions->items[i].selection);
            column += expansions->items[i].selection.count;
        }
    }
    return plan_finish_call(sql, columns, count, ret_call);
}

bool plan_read_expanded(const struct plan *plan, struct value key,
                        const struct expansions *expansions, struct arena *arena,
                        struct call *ret_call) {
    struct sql sql = sql_begin(plan->dialect, arena);
    append_expanded_begin(&sql, &plan->selection, expansions);
    buffer_append_text(&sql.text, plan->read.sql);
    sql_bind(&sql, key);
    append_expanded_end(&sql, expansions);
    return finish_expanded(&sql, &plan->selection, expansions, ret_call);
}

// ---- Pages and counts ----

bool plan_list(const struct plan *plan, const struct query *query, int64_t now, struct arena *arena,
               struct call *ret_call) {
    struct list list = {.sql = sql_begin(plan->dialect, arena), .query = query, .now = now};
    if (query->expansions.count) {
        append_expanded_begin(&list.sql, &query->selection, &query->expansions);
        append_page(&list);
        append_expanded_end(&list.sql, &query->expansions);
        append_order(&list, page_prefix, false, 0);
        return finish_expanded(&list.sql, &query->selection, &query->expansions, ret_call);
    }
    append_page(&list);
    struct column *columns = plan_selection_columns(arena, &query->selection);
    if (!columns)
        list.sql.failed = true;
    return plan_finish_call(&list.sql, columns, query->selection.count, ret_call);
}

bool plan_count(const struct plan *plan, const struct query *query, int64_t now,
                struct arena *arena, struct call *ret_call) {
    static const struct column column = {.kind = VALUE_INTEGER};
    struct list list = {.sql = sql_begin(plan->dialect, arena), .query = query, .now = now};
    sql_text(&list.sql, "SELECT count(*) FROM ");
    sql_name(&list.sql, query->resource->table);
    append_conditions(&list, NULL);
    return plan_finish_call(&list.sql, &column, 1, ret_call);
}

// ---- How long a list takes ----

// Skips this far without an index of positions: an offset costs as much as the rows it skips.
enum { SHORT_OFFSET = QUERY_MAX_LIMIT };

// Whether all that the filter says is that some properties have given values.
static bool filter_is_fixed(const struct expression *filter) {
    struct value literal;
    if (!filter)
        return true;
    if (filter->kind != EXPRESSION_AND)
        return query_equality(filter, &literal) != NULL;
    for (size_t i = 0; i < filter->operand_count; i++)
        if (!filter_is_fixed(filter->operands[i]))
            return false;
    return true;
}

// Whether no two records can pass the filter: it gives a value to the key, or to all of a group
// that is unique. (Nulls are not the same as each other there.)
static bool filter_finds_one(const struct query *query) {
    const struct resource *resource = query->resource;
    struct value value;
    if (query_fixes(query->filter, resource->key.property, &value))
        return true;
    for (size_t i = 0; i < resource->unique_count; i++) {
        const struct column_group *group = &resource->unique[i];
        size_t fixed = 0;
        while (fixed < group->property_count &&
               query_fixes(query->filter, group->properties[fixed], &value) &&
               !value_is_null(value))
            fixed++;
        if (fixed == group->property_count)
            return true;
    }
    return false;
}

static const struct column_group key_alone = {0};

bool plan_order_is_indexed(const struct query *query) {
    const struct resource *resource = query->resource;
    if (index_orders(query, &key_alone) || filter_finds_one(query))
        return true;
    for (size_t i = 0; i < resource->index_count; i++)
        if (index_orders(query, &resource->indexes[i]))
            return true;
    for (size_t i = 0; i < resource->unique_count; i++)
        if (unique_is_total(&resource->unique[i]) && index_orders(query, &resource->unique[i]))
            return true;
    return false;
}

bool plan_list_is_short(const struct query *query) {
    if (query->count || query->offset > SHORT_OFFSET)
        return false;
    if (query->filter && expression_refers(query->filter))
        return false; // those that others refer to may be looked for first, all of them
    if (filter_finds_one(query))
        return true;
    if (!filter_is_fixed(query->filter))
        return false;
    return index_serves(query, &key_alone) || serving_index(query);
}

#include "resource/query.h"

#include "base/buffer.h"
#include "base/suggest.h"
#include "resource/cursor.h"

#include <stdlib.h>

// A query while its parameters are read.
struct reader {
    struct query query;
    struct text cursor_key;
    struct arena *arena;
    struct faults *faults;
    struct failure *failure;
    bool failed; // the failure is set; with FAILURE_OUT_OF_MEMORY there is no use in going on
    const struct parameter *cursor; // NULL: none was given
    const struct query_scope *scope;
    struct text *arguments; // what the filter consists of, as sent: "name=value"
    size_t argument_count;
    bool *asked;                       // by property: whether it is to be shown; NULL: all are
    bool *expanded;                    // by property: whether its record is to be embedded
    bool descending;                   // the last sort key that was asked for is
    const struct parameter *parameter; // the one that is read
    const struct parameter *told;      // the one whose fault has named what exists already
    bool told_parameters;              // a fault has named the parameters that exist
};

static void run_out_of_memory(struct reader *reader) {
    reader->failed = true;
    failure_out_of_memory(reader->failure);
}

// Whether there is no use in looking at what comes next.
static bool is_hopeless(const struct reader *reader) {
    return reader->faults->count == FAULTS_MAX ||
           (reader->failed && reader->failure->code == FAILURE_OUT_OF_MEMORY);
}

// Notes what is wrong with the parameter. The first of all faults is the failure, too.
static void refuse_text(struct reader *reader, enum failure_code code, struct text detail) {
    if (!detail.data || code == FAILURE_OUT_OF_MEMORY) {
        run_out_of_memory(reader);
        return;
    }
    faults_add(reader->faults, reader->parameter->name, "%.*s", TEXT_ARGS(detail));
    if (!reader->failed)
        failure_set(reader->failure, code, "%.*s", TEXT_ARGS(detail));
    reader->failed = true;
}

#define refuse(reader, code, ...)                                                                  \
    refuse_text(reader, code, arena_format((reader)->arena, __VA_ARGS__))

// ---- Which properties a list can be asked about ----

// What is never shown cannot be found out by asking either, and objects and arrays have no order.
static bool is_comparable(const struct property *property) {
    return !property->write_only && property->kind != VALUE_JSON;
}

static bool is_shown(const struct property *property) {
    return !property->write_only;
}

static bool is_reference(const struct property *property) {
    return property->reference.resource && !property->write_only;
}

static void append_listed(struct buffer *list, struct text name) {
    buffer_append_string(list, list->size ? ", " : "");
    buffer_append_text(list, name);
}

static struct text finish_list(struct reader *reader, struct buffer *list) {
    struct text text = {NULL, 0};
    if (!list->failed)
        text = arena_copy(reader->arena, buffer_text(list));
    buffer_free(list);
    return text;
}

// The names of the properties that qualify: "a, b, c".
static struct text list_properties(struct reader *reader,
                                   bool (*qualifies)(const struct property *)) {
    const struct resource *resource = reader->query.resource;
    struct buffer list = {0};
    for (size_t i = 0; i < resource->property_count; i++)
        if (qualifies(&resource->properties[i]))
            append_listed(&list, resource->properties[i].name);
    return finish_list(reader, &list);
}

// Refuses a name in a list like sort's. The first such fault of a parameter says what exists.
static void refuse_name(struct reader *reader, const struct property *property, struct text name,
                        bool (*qualifies)(const struct property *)) {
    struct text word = reader->parameter->name;
    const char *reason = "is no property here";
    if (property && !property->write_only)
        reason = qualifies == is_reference ? "refers to nothing" : "has no order";
    if (reader->told == reader->parameter) {
        refuse(reader, FAILURE_INVALID_PARAMETER, "%.*s: '%.*s' %s", TEXT_ARGS(word),
               TEXT_ARGS(name), reason);
        return;
    }
    struct text known = list_properties(reader, qualifies);
    if (known.data)
        refuse(reader, FAILURE_INVALID_PARAMETER, "%.*s: '%.*s' %s; it takes %.*s%s",
               TEXT_ARGS(word), TEXT_ARGS(name), reason, TEXT_ARGS(known),
               known.size ? "" : "nothing");
    else
        run_out_of_memory(reader);
    reader->told = reader->parameter;
}

// The property of a name in a list like sort's, or NULL and a fault.
static const struct property *find_property(struct reader *reader, struct text name,
                                            bool (*qualifies)(const struct property *)) {
    const struct property *property = resource_property(reader->query.resource, name);
    if (property && qualifies(property))
        return property;
    refuse_name(reader, property, name, qualifies);
    return NULL;
}

// ---- Filters ----

static void add_argument(struct reader *reader) {
    const struct parameter *parameter = reader->parameter;
    struct text *argument =
        arena_grow(reader->arena, &reader->arguments, reader->argument_count, sizeof *argument);
    if (!argument) {
        run_out_of_memory(reader);
        return;
    }
    *argument = arena_format(reader->arena, "%.*s=%.*s", TEXT_ARGS(parameter->name),
                             TEXT_ARGS(parameter->value));
    if (argument->data)
        reader->argument_count++;
    else
        run_out_of_memory(reader);
}

static void add_filter(struct reader *reader, const struct expression *filter) {
    const struct expression *both =
        filter ? expression_and(reader->arena, reader->query.filter, filter) : NULL;
    if (!both) {
        run_out_of_memory(reader);
        return;
    }
    reader->query.filter = both;
    add_argument(reader);
}

static void add_seen(struct reader *reader, const struct resource *resource) {
    struct query *query = &reader->query;
    for (size_t i = 0; i < query->seen_count; i++)
        if (query->seen[i] == resource)
            return;
    const struct resource **seen =
        arena_grow(reader->arena, &query->seen, query->seen_count, sizeof(struct resource *));
    if (seen) {
        *seen = resource;
        query->seen_count++;
    } else {
        run_out_of_memory(reader);
    }
}

// Whoever may ask about a record sees something of it.
static void add_all_seen(struct reader *reader, const struct expression *expression) {
    if (expression->kind == EXPRESSION_REFERENCED)
        add_seen(reader, expression->property->reference.resource);
    for (size_t i = 0; i < expression->operand_count; i++)
        add_all_seen(reader, expression->operands[i]);
}

static void read_filter(struct reader *reader, struct text source) {
    struct failure failure;
    const struct expression *filter = expression_parse(
        reader->arena, reader->query.resource, EXPRESSION_FOR_QUERY, NULL, source, &failure, NULL);
    if (!filter) {
        refuse(reader, failure.code, "filter: %s", failure.detail);
        return;
    }
    add_filter(reader, filter);
    add_all_seen(reader, filter);
}

static void read_named_filter(struct reader *reader, const struct named_filter *filter) {
    struct text value = reader->parameter->value;
    struct buffer known = {0};
    for (size_t i = 0; i < filter->value_count; i++) {
        if (text_equal(filter->values[i].name, value)) {
            buffer_free(&known);
            add_filter(reader, filter->values[i].expression);
            return;
        }
        append_listed(&known, filter->values[i].name);
    }
    struct text list = finish_list(reader, &known);
    if (list.data)
        refuse(reader, FAILURE_INVALID_PARAMETER, "%.*s must be one of: %.*s",
               TEXT_ARGS(filter->name), TEXT_ARGS(list));
    else
        run_out_of_memory(reader);
}

static void read_property(struct reader *reader, const struct property *property) {
    struct value value;
    struct failure failure;
    if (validate_parameter(property, reader->parameter->value, reader->arena, &value, &failure))
        add_filter(reader, expression_equal(reader->arena, property, value));
    else
        refuse(reader,
               failure.code == FAILURE_OUT_OF_MEMORY ? failure.code : FAILURE_INVALID_PARAMETER,
               "%s", failure.detail);
}

const struct property *query_equality(const struct expression *expression,
                                      struct value *ret_literal) {
    if (expression->kind == EXPRESSION_PROPERTY) {
        *ret_literal = value_boolean(true);
        return expression->property;
    }
    if (expression->kind == EXPRESSION_IS_NULL) {
        *ret_literal = value_null();
        const struct expression *operand = expression->operands[0];
        return operand->kind == EXPRESSION_PROPERTY ? operand->property : NULL;
    }
    if (expression->kind != EXPRESSION_COMPARE || expression->comparison != COMPARISON_EQUAL)
        return NULL;
    bool turned = expression->operands[0]->kind == EXPRESSION_LITERAL;
    const struct expression *property = expression->operands[turned];
    const struct expression *literal = expression->operands[!turned];
    if (property->kind != EXPRESSION_PROPERTY || literal->kind != EXPRESSION_LITERAL)
        return NULL;
    *ret_literal = literal->literal;
    return property->property;
}

bool query_fixes(const struct expression *filter, const struct property *property,
                 struct value *ret_value) {
    if (!filter)
        return false;
    if (filter->kind != EXPRESSION_AND) {
        struct value literal;
        if (query_equality(filter, &literal) != property)
            return false;
        *ret_value = literal;
        return true;
    }
    for (size_t i = 0; i < filter->operand_count; i++)
        if (query_fixes(filter->operands[i], property, ret_value))
            return true;
    return false;
}

// ---- Order ----

// The most bytes that a string has by its definition.
static uint64_t string_bound(const struct property *property) {
    const struct schema *schema = &property->schema;
    uint64_t bound = 0;
    if (property->kind != VALUE_TEXT)
        return 0;
    if (schema->enumeration || schema->constant) {
        for (size_t i = 0; i < json_array_size(schema->enumeration); i++) {
            size_t size = json_string_length(json_array_get(schema->enumeration, i));
            bound = size > bound ? size : bound;
        }
        size_t size = json_string_length(schema->constant);
        return size > bound ? size : bound;
    }
    if (schema->max_length < 0 || schema->max_length > CURSOR_MAX_STRINGS)
        return UINT32_MAX;
    // URIs and e-mail addresses are ASCII; any other character may have four bytes.
    bool ascii = schema->format == FORMAT_URI || schema->format == FORMAT_EMAIL;
    return (uint64_t)schema->max_length * (ascii ? 1 : 4);
}

static bool is_in_sort(const struct query *query, const struct property *property) {
    for (size_t i = 0; i < query->sort_count; i++)
        if (query->sort[i].property == property)
            return true;
    return false;
}

// False where there is no use in reader the next one.
static bool read_sort_key(struct reader *reader, struct text name) {
    struct query *query = &reader->query;
    if (query->sort_count == QUERY_MAX_SORT_KEYS) {
        refuse(reader, FAILURE_INVALID_PARAMETER, "sort: at most %d properties can be named",
               QUERY_MAX_SORT_KEYS);
        return false;
    }
    bool descending = text_starts_with(name, TEXT("-"));
    name = descending ? text_from(name, 1) : name;
    const struct property *property = find_property(reader, name, is_comparable);
    if (property && is_in_sort(query, property)) {
        refuse(reader, FAILURE_INVALID_PARAMETER, "sort: '%.*s' is named twice", TEXT_ARGS(name));
    } else if (property) {
        query->sort[query->sort_count++] = (struct sort_key){property, descending};
        reader->descending = descending;
    }
    return !is_hopeless(reader);
}

// A cursor carries the values of the sort keys, and must fit into a request line.
static void check_sort_size(struct reader *reader) {
    const struct query *query = &reader->query;
    uint64_t bound = 0;
    const struct property *longest = NULL;
    for (size_t i = 0; i < query->sort_count; i++) {
        const struct property *property = query->sort[i].property;
        if (property == query->resource->key.property)
            continue;
        bound += string_bound(property);
        if (!longest || string_bound(property) > string_bound(longest))
            longest = property;
    }
    if (bound > CURSOR_MAX_STRINGS)
        refuse(reader, FAILURE_INVALID_PARAMETER,
               "sort: '%.*s' is too long; the strings of an order may have %d bytes together, by "
               "their maxLength and 4 bytes a character",
               TEXT_ARGS(longest->name), CURSOR_MAX_STRINGS);
}

static void read_sort(struct reader *reader, struct text value) {
    struct text rest = value;
    struct text name;
    while (text_split(&rest, ',', &name) && read_sort_key(reader, text_trim(name)))
        continue;
    check_sort_size(reader);
}

// The order must be total, so that a position has but one place in it. What comes behind the key is
// never looked at, and what the filter fixes is the same in all records.
static void complete_sort(struct reader *reader) {
    struct query *query = &reader->query;
    const struct property *key = query->resource->key.property;
    struct value value;
    size_t count = 0;
    bool descending = reader->descending;
    for (size_t i = 0; i < query->sort_count; i++) {
        if (query->sort[i].property == key) {
            descending = query->sort[i].descending;
            break;
        }
        if (!query_fixes(query->filter, query->sort[i].property, &value))
            query->sort[count++] = query->sort[i];
    }
    query->sort[count++] = (struct sort_key){key, descending};
    query->sort_count = count;
}

// ---- Shape and page ----

static bool read_number(struct text text, int64_t least, int64_t most, int64_t *ret_number) {
    int64_t number;
    if (!text_to_integer(text, &number) || number < least || number > most)
        return false;
    *ret_number = number;
    return true;
}

static void read_limit(struct reader *reader, struct text value) {
    int64_t limit;
    if (reader->scope->is_stream) {
        if (read_number(value, 1, INT64_MAX, &limit))
            reader->query.whole = (uint64_t)limit;
        else
            refuse(reader, FAILURE_INVALID_PARAMETER, "limit must be an integer from 1 on");
        return;
    }
    if (read_number(value, 1, QUERY_MAX_LIMIT, &limit))
        reader->query.limit = (unsigned)limit;
    else
        refuse(reader, FAILURE_INVALID_PARAMETER, "limit must be an integer from 1 to %d",
               QUERY_MAX_LIMIT);
}

static void read_offset(struct reader *reader, struct text value) {
    int64_t offset;
    reader->query.has_offset = true;
    if (read_number(value, 0, INT64_MAX, &offset))
        reader->query.offset = (uint64_t)offset;
    else
        refuse(reader, FAILURE_INVALID_PARAMETER, "offset must be an integer from 0 on");
}

static void read_count(struct reader *reader, struct text value) {
    reader->query.count = text_is(value, "true");
    if (!reader->query.count && !text_is(value, "false"))
        refuse(reader, FAILURE_INVALID_PARAMETER, "count must be true or false");
}

// It can only be opened when all else is known.
static void read_cursor(struct reader *reader, struct text value) {
    reader->cursor = reader->parameter;
}

// The properties that a list names, which qualify: a mark for each. NULL without memory.
static bool *read_names(struct reader *reader, struct text list,
                        bool (*qualifies)(const struct property *)) {
    const struct resource *resource = reader->query.resource;
    bool *named = arena_allocate_zero(reader->arena, resource->property_count, sizeof(bool));
    struct text name;
    if (!named) {
        run_out_of_memory(reader);
        return NULL;
    }
    while (!is_hopeless(reader) && text_split(&list, ',', &name)) {
        name = text_trim(name);
        const struct property *property = find_property(reader, name, qualifies);
        if (property && named[property->index])
            refuse(reader, FAILURE_INVALID_PARAMETER, "%.*s: '%.*s' is named twice",
                   TEXT_ARGS(reader->parameter->name), TEXT_ARGS(name));
        else if (property)
            named[property->index] = true;
    }
    return named;
}

static void read_fields(struct reader *reader, struct text value) {
    reader->asked = read_names(reader, value, is_shown);
}

// ---- What is embedded ----

// What a client may read of a record that is embedded; of that, every key is a part.
static bool select_embedded(struct reader *reader, const struct property *property,
                            struct expansion *ret_expansion) {
    const struct resource *target = property->reference.resource;
    struct selection selection = {
        .properties = arena_allocate_zero(reader->arena, target->property_count, sizeof property)};
    if (!selection.properties)
        return false;
    for (size_t i = 0; i < target->property_count; i++)
        if (is_shown(&target->properties[i]))
            selection.properties[selection.count++] = &target->properties[i];
    selection.shown = selection.count;
    size_t key = 0;
    while (selection.properties[key] != target->key.property)
        key++;
    *ret_expansion = (struct expansion){property, selection, key};
    return true;
}

static void add_expansion(struct reader *reader, const struct property *property) {
    struct expansions *expansions = &reader->query.expansions;
    const struct resource *target = property->reference.resource;
    if (!target->actions[ACTION_READ]) {
        refuse(reader, FAILURE_INVALID_PARAMETER,
               "expand: '%.*s' refers to %.*s, which has no action `read`",
               TEXT_ARGS(property->name), TEXT_ARGS(target->name));
        return;
    }
    struct expansion *expansion =
        arena_grow(reader->arena, &expansions->items, expansions->count, sizeof *expansion);
    if (!expansion || !select_embedded(reader, property, expansion)) {
        run_out_of_memory(reader);
        return;
    }
    expansions->count++;
    add_seen(reader, target);
}

static void check_expansion_size(struct reader *reader) {
    const struct expansions *expansions = &reader->query.expansions;
    size_t columns = reader->query.resource->property_count + QUERY_MAX_SORT_KEYS + 2;
    for (size_t i = 0; i < expansions->count; i++)
        columns += expansions->items[i].selection.count;
    if (expansions->count > QUERY_MAX_EXPANSIONS || columns > QUERY_MAX_COLUMNS)
        refuse(
            reader, FAILURE_INVALID_PARAMETER,
            "expand: this is too much at once; at most %d references can be named, whose records "
            "have about %d properties together",
            QUERY_MAX_EXPANSIONS, QUERY_MAX_COLUMNS);
}

// They come in the definition's order, as properties do.
static void read_expand(struct reader *reader, struct text value) {
    const struct resource *resource = reader->query.resource;
    reader->expanded = read_names(reader, value, is_reference);
    for (size_t i = 0; i < resource->property_count && !is_hopeless(reader); i++)
        if (reader->expanded[i])
            add_expansion(reader, &resource->properties[i]);
    check_expansion_size(reader);
}

// ---- The row ----

static void select_hidden(struct selection *selection, bool *present,
                          const struct property *property) {
    if (!present[property->index])
        selection->properties[selection->count++] = property;
    present[property->index] = true;
}

// What is shown comes in the definition's order, however it was asked for, so that a record looks
// the same to all who ask for the same. Behind it come the sort keys that are not shown, and the
// references by which others are found.
static bool complete_selection(struct reader *reader) {
    const struct query *query = &reader->query;
    const struct resource *resource = query->resource;
    struct selection selection = {0};
    size_t room = resource->property_count;
    selection.properties = arena_allocate_zero(reader->arena, room, sizeof(struct property *));
    bool *present = arena_allocate_zero(reader->arena, resource->property_count, sizeof *present);
    if (!selection.properties || !present)
        return false;
    for (size_t i = 0; i < resource->property_count; i++) {
        present[i] = reader->asked ? reader->asked[i] : is_shown(&resource->properties[i]);
        if (present[i])
            selection.properties[selection.count++] = &resource->properties[i];
    }
    selection.shown = selection.count;
    for (size_t i = 0; i < query->sort_count; i++)
        select_hidden(&selection, present, query->sort[i].property);
    for (size_t i = 0; i < query->expansions.count; i++)
        select_hidden(&selection, present, query->expansions.items[i].property);
    reader->query.selection = selection;
    return true;
}

// ---- All of it ----

static const struct {
    struct text name;
    void (*read)(struct reader *reader, struct text value);
    bool of_record; // a single record has it too
} words[] = {
    {TEXT_INIT("filter"), read_filter, false}, {TEXT_INIT("sort"), read_sort, false},
    {TEXT_INIT("limit"), read_limit, false},   {TEXT_INIT("offset"), read_offset, false},
    {TEXT_INIT("cursor"), read_cursor, false}, {TEXT_INIT("fields"), read_fields, true},
    {TEXT_INIT("expand"), read_expand, true},  {TEXT_INIT("count"), read_count, false},
};

enum { WORDS = sizeof words / sizeof *words };

// Calls `see` for each parameter that exists.
static void visit_parameters(const struct resource *resource,
                             void (*see)(void *context, struct text name), void *context) {
    for (size_t i = 0; i < WORDS; i++)
        see(context, words[i].name);
    for (size_t i = 0; i < resource->filter_count; i++)
        see(context, resource->filters[i].name);
    for (size_t i = 0; i < resource->property_count; i++)
        if (is_comparable(&resource->properties[i]))
            see(context, resource->properties[i].name);
}

bool query_knows_parameter(const struct resource *resource, struct text name) {
    const struct property *property = resource_property(resource, name);
    size_t word = 0;
    while (word < WORDS && !text_equal(words[word].name, name))
        word++;
    return word < WORDS || resource_filter(resource, name) || (property && is_comparable(property));
}

static void see_listed(void *context, struct text name) {
    append_listed(context, name);
}

static void see_suggested(void *context, struct text name) {
    suggest_offer(context, name);
}

static void refuse_unknown(struct reader *reader) {
    struct text name = reader->parameter->name;
    struct suggestion suggestion = {.word = name};
    visit_parameters(reader->query.resource, see_suggested, &suggestion);
    const char *meant = suggestion.best.data ? "; did you mean " : "";
    struct text best = suggestion.best.data ? suggestion.best : TEXT("");
    struct text known = TEXT("");
    const char *there_are = "";
    if (!reader->told_parameters) {
        struct buffer list = {0};
        visit_parameters(reader->query.resource, see_listed, &list);
        known = finish_list(reader, &list);
        there_are = "; there are ";
        reader->told_parameters = true;
    }
    if (known.data)
        refuse(reader, FAILURE_UNKNOWN_PARAMETER, "'%.*s' is no parameter here%s%.*s%s%s%.*s",
               TEXT_ARGS(name), meant, TEXT_ARGS(best), *meant ? "?" : "", there_are,
               TEXT_ARGS(known));
    else
        run_out_of_memory(reader);
}

static void read_parameter(struct reader *reader) {
    const struct parameter *parameter = reader->parameter;
    const struct resource *resource = reader->query.resource;
    for (size_t i = 0; i < WORDS; i++) {
        if (text_equal(words[i].name, parameter->name)) {
            words[i].read(reader, parameter->value);
            return;
        }
    }
    const struct named_filter *filter = resource_filter(resource, parameter->name);
    const struct property *property = resource_property(resource, parameter->name);
    if (filter)
        read_named_filter(reader, filter);
    else if (property && is_comparable(property))
        read_property(reader, property);
    else
        refuse_unknown(reader);
}

static void read_parameter_of_record(struct reader *reader) {
    const struct parameter *parameter = reader->parameter;
    size_t word = 0;
    while (word < WORDS &&
           !(words[word].of_record && text_equal(words[word].name, parameter->name)))
        word++;
    if (word < WORDS)
        words[word].read(reader, parameter->value);
    else
        refuse(reader, FAILURE_UNKNOWN_PARAMETER, "'%.*s' is no parameter of a record",
               TEXT_ARGS(parameter->name));
}

static void read_parameters(struct reader *reader, const struct parameter *parameters, size_t count,
                            void (*read)(struct reader *reader)) {
    for (size_t i = 0; i < count && !is_hopeless(reader); i++) {
        reader->parameter = &parameters[i];
        size_t earlier = 0;
        while (earlier < i && !text_equal(parameters[earlier].name, parameters[i].name))
            earlier++;
        if (earlier < i)
            refuse(reader, FAILURE_INVALID_PARAMETER, "'%.*s' is given more than once",
                   TEXT_ARGS(parameters[i].name));
        else
            read(reader);
    }
}

static int compare_texts(const void *a, const void *b) {
    return text_compare(*(const struct text *)a, *(const struct text *)b);
}

// Each argument with its size before it, so that no two lists of them look the same.
static void append_argument(struct buffer *out, struct text argument) {
    buffer_append_integer(out, (int64_t)argument.size);
    buffer_append_byte(out, ':');
    buffer_append_text(out, argument);
}

// What a position in the list means: the resource, what its filter consists of in whichever order
// it was sent, and the order.
static bool complete_arguments(struct reader *reader) {
    struct query *query = &reader->query;
    struct buffer out = {0};
    append_argument(&out, query->resource->name);
    if (reader->scope->name.data)
        append_argument(&out, reader->scope->name);
    if (reader->argument_count > 1)
        qsort(reader->arguments, reader->argument_count, sizeof *reader->arguments, compare_texts);
    for (size_t i = 0; i < reader->argument_count; i++)
        append_argument(&out, reader->arguments[i]);
    for (size_t i = 0; i < query->sort_count; i++) {
        buffer_append_byte(&out, query->sort[i].descending ? '-' : '+');
        append_argument(&out, query->sort[i].property->name);
    }
    query->arguments = finish_list(reader, &out);
    return query->arguments.data != NULL;
}

static void check_position(struct reader *reader) {
    if (!reader->cursor || !reader->query.has_offset)
        return;
    reader->parameter = reader->cursor;
    refuse(reader, FAILURE_INVALID_PARAMETER, "cursor and offset exclude each other");
}

static bool open_cursor(struct reader *reader) {
    struct query *query = &reader->query;
    struct value *position;
    struct failure failure;
    if (!reader->cursor)
        return true;
    bool ok = cursor_read(query, reader->cursor->value, reader->cursor_key, reader->arena,
                          &position, &query->backward, &failure);
    if (ok && query->backward && reader->scope->is_stream)
        ok = failure_set(&failure, FAILURE_INVALID_CURSOR,
                         "a stream goes forward: from the cursor of a link \"next\"");
    if (ok) {
        query->after = position;
        return true;
    }
    reader->parameter = reader->cursor;
    refuse(reader, failure.code, "%s", failure.detail);
    return false;
}

bool query_read(const struct resource *resource, const struct parameter *parameters,
                size_t parameter_count, struct text cursor_key, struct arena *arena,
                struct faults *faults, struct query *ret_query, struct failure *failure) {
    const struct query_scope all = {.resource = resource};
    return query_read_within(&all, parameters, parameter_count, cursor_key, arena, faults,
                             ret_query, failure);
}

bool query_read_within(const struct query_scope *scope, const struct parameter *parameters,
                       size_t parameter_count, struct text cursor_key, struct arena *arena,
                       struct faults *faults, struct query *ret_query, struct failure *failure) {
    struct reader reader = {
        .query = {.resource = scope->resource,
                  .filter = scope->filter,
                  .limit = QUERY_DEFAULT_LIMIT,
                  .whole = UINT64_MAX},
        .scope = scope,
        .cursor_key = cursor_key,
        .arena = arena,
        .faults = faults,
        .failure = failure,
    };
    struct query *query = &reader.query;
    query->sort = arena_allocate_zero(arena, QUERY_MAX_SORT_KEYS + 1, sizeof *query->sort);
    if (!query->sort)
        return failure_out_of_memory(failure);
    read_parameters(&reader, parameters, parameter_count, read_parameter);
    check_position(&reader);
    if (reader.failed)
        return false;
    complete_sort(&reader);
    if (!complete_selection(&reader) || !complete_arguments(&reader))
        return failure_out_of_memory(failure);
    if (!open_cursor(&reader))
        return false;
    *ret_query = *query;
    return true;
}

bool query_read_record(const struct resource *resource, const struct parameter *parameters,
                       size_t parameter_count, struct arena *arena, struct faults *faults,
                       struct query *ret_query, struct failure *failure) {
    struct reader reader = {
        .query = {.resource = resource},
        .arena = arena,
        .faults = faults,
        .failure = failure,
    };
    read_parameters(&reader, parameters, parameter_count, read_parameter_of_record);
    if (reader.failed)
        return false;
    if (!complete_selection(&reader))
        return failure_out_of_memory(failure);
    *ret_query = reader.query;
    return true;
}

struct value *query_position(const struct query *query, const struct value *cells,
                             struct arena *arena) {
    struct value *position = arena_allocate_zero(arena, query->sort_count, sizeof *position);
    for (size_t key = 0; position && key < query->sort_count; key++) {
        size_t cell = 0;
        while (query->selection.properties[cell] != query->sort[key].property)
            cell++;
        if (!value_copy(arena, cells[cell], &position[key]))
            return NULL;
    }
    return position;
}

struct text query_cursor(const struct query *query, const struct value *cells, bool backward,
                         struct text cursor_key, struct arena *arena) {
    const struct value *position = query_position(query, cells, arena);
    if (!position)
        return (struct text){NULL, 0};
    return cursor_write(query, position, backward, cursor_key, arena);
}

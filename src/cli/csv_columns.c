#include "cli/csv_columns.h"

#include "base/suggest.h"
#include "resource/json.h"

enum { PATH_MAX_LENGTH = 64 };

static const struct schema *member_schema(const struct schema *object, struct text name) {
    for (size_t i = 0; i < object->member_count; i++) {
        if (text_equal(object->members[i].name, name))
            return &object->members[i].schema;
    }
    return NULL;
}

// The schema that a path leads to, or NULL.
static const struct schema *find_schema(const struct resource *resource, const struct text *path,
                                        size_t length) {
    const struct property *property = length ? resource_property(resource, path[0]) : NULL;
    const struct schema *schema = property ? &property->schema : NULL;
    for (size_t i = 1; schema && i < length; i++)
        schema = member_schema(schema, path[i]);
    return schema;
}

// Splits a name at its dots into the arena.
static bool split_name(struct arena *arena, struct csv_column *column, struct failure *failure) {
    struct text rest = column->name;
    struct text part;
    while (text_split(&rest, '.', &part)) {
        struct text *next = arena_grow(arena, &column->path, column->path_length, sizeof *next);
        if (!next)
            return failure_out_of_memory(failure);
        *next = part;
        if (++column->path_length > PATH_MAX_LENGTH)
            return failure_set(failure, FAILURE_INVALID_BODY,
                               "the column \"%.*s\" has too many dots", TEXT_ARGS(column->name));
    }
    return true;
}

static void append_list(struct buffer *list, struct text name) {
    buffer_append_string(list, list->size ? ", " : "");
    buffer_append_text(list, name);
}

static bool refuse_name(const struct resource *resource, struct text name,
                        struct failure *failure) {
    struct csv_columns known = {0};
    struct suggestion suggestion = {.word = name};
    struct buffer list = {0};
    if (!csv_columns_make(&known, resource, failure))
        return false;
    for (size_t i = 0; i < known.count; i++) {
        suggest_offer(&suggestion, known.items[i].name);
        append_list(&list, known.items[i].name);
    }
    if (list.failed)
        failure_out_of_memory(failure);
    else if (suggestion.best.data)
        failure_set(failure, FAILURE_INVALID_BODY,
                    "%.*s has no property for the column \"%.*s\"; perhaps %.*s is meant",
                    TEXT_ARGS(resource->name), TEXT_ARGS(name), TEXT_ARGS(suggestion.best));
    else
        failure_set(failure, FAILURE_INVALID_BODY,
                    "%.*s has no property for the column \"%.*s\"; it has %.*s",
                    TEXT_ARGS(resource->name), TEXT_ARGS(name), TEXT_ARGS(buffer_text(&list)));
    buffer_free(&list);
    csv_columns_free(&known);
    return false;
}

static bool is_part_of(const struct csv_column *part, const struct csv_column *whole) {
    if (part->path_length < whole->path_length)
        return false;
    for (size_t i = 0; i < whole->path_length; i++) {
        if (!text_equal(part->path[i], whole->path[i]))
            return false;
    }
    return true;
}

static bool refuse_overlap(const struct csv_columns *columns, const struct csv_column *column,
                           struct failure *failure) {
    for (size_t i = 0; i < columns->count; i++) {
        const struct csv_column *other = &columns->items[i];
        if (text_equal(column->name, other->name))
            return failure_set(failure, FAILURE_INVALID_BODY, "the column \"%.*s\" is there twice",
                               TEXT_ARGS(column->name));
        if (is_part_of(column, other) || is_part_of(other, column))
            return failure_set(failure, FAILURE_INVALID_BODY,
                               "the columns \"%.*s\" and \"%.*s\" exclude each other",
                               TEXT_ARGS(column->name), TEXT_ARGS(other->name));
    }
    return true;
}

// Puts a column behind the others.
static bool add_column(struct csv_columns *columns, const struct csv_column *column,
                       struct failure *failure) {
    struct csv_column *item =
        arena_grow(&columns->arena, &columns->items, columns->count, sizeof *item);
    if (!item)
        return failure_out_of_memory(failure);
    *item = *column;
    columns->count++;
    return true;
}

static bool read_column(struct csv_columns *columns, const struct resource *resource,
                        struct text name, struct failure *failure) {
    struct csv_column column = {.name = arena_copy(&columns->arena, text_trim(name))};
    if (!column.name.data)
        return failure_out_of_memory(failure);
    if (!split_name(&columns->arena, &column, failure))
        return false;
    column.schema = find_schema(resource, column.path, column.path_length);
    if (!column.schema)
        return refuse_name(resource, column.name, failure);
    return refuse_overlap(columns, &column, failure) && add_column(columns, &column, failure);
}

bool csv_columns_read(struct csv_columns *columns, const struct resource *resource,
                      const struct csv_field *fields, size_t field_count, struct failure *failure) {
    *columns = (struct csv_columns){0};
    for (size_t i = 0; i < field_count; i++) {
        if (!read_column(columns, resource, fields[i].text, failure)) {
            csv_columns_free(columns);
            return false;
        }
    }
    return true;
}

void csv_columns_free(struct csv_columns *columns) {
    arena_free(&columns->arena);
    *columns = (struct csv_columns){0};
}

// ---- The columns of a resource

// A column that is one member deeper than `parent` (NULL: a property).
static bool make_path(struct arena *arena, const struct csv_column *parent, struct text name,
                      struct csv_column *column) {
    size_t depth = parent ? parent->path_length : 0;
    column->path = arena_allocate_zero(arena, depth + 1, sizeof *column->path);
    column->name =
        parent ? arena_format(arena, "%.*s.%.*s", TEXT_ARGS(parent->name), TEXT_ARGS(name)) : name;
    if (!column->path || !column->name.data)
        return false;
    for (size_t i = 0; i < depth; i++)
        column->path[i] = parent->path[i];
    column->path[depth] = name;
    column->path_length = depth + 1;
    return true;
}

// Definitions are at most 64 levels deep, as YAML is.
static bool make_columns(struct csv_columns *columns, const struct csv_column *parent,
                         struct text name, const struct schema *schema, struct failure *failure) {
    struct csv_column column = {.schema = schema};
    if (!make_path(&columns->arena, parent, name, &column))
        return failure_out_of_memory(failure);
    bool is_flat = !schema->has_members || schema->member_count == 0 ||
                   (schema->types & (unsigned)~(SCHEMA_OBJECT | SCHEMA_NULL)) != 0;
    if (is_flat)
        return add_column(columns, &column, failure);
    for (size_t i = 0; i < schema->member_count; i++) {
        const struct schema_member *member = &schema->members[i];
        if (!make_columns(columns, &column, member->name, &member->schema, failure))
            return false;
    }
    return true;
}

bool csv_columns_make(struct csv_columns *columns, const struct resource *resource,
                      struct failure *failure) {
    *columns = (struct csv_columns){0};
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        if (!property->write_only &&
            !make_columns(columns, NULL, property->name, &property->schema, failure)) {
            csv_columns_free(columns);
            return false;
        }
    }
    return true;
}

// ---- Rows to records

static bool has_type(const struct schema *schema, const json_t *value) {
    static const unsigned types[] = {
        [JSON_OBJECT] = SCHEMA_OBJECT,
        [JSON_ARRAY] = SCHEMA_ARRAY,
        [JSON_STRING] = SCHEMA_STRING,
        [JSON_INTEGER] = SCHEMA_INTEGER | SCHEMA_NUMBER,
        [JSON_REAL] = SCHEMA_INTEGER | SCHEMA_NUMBER, // 5.0 is an integer, too
        [JSON_TRUE] = SCHEMA_BOOLEAN,
        [JSON_FALSE] = SCHEMA_BOOLEAN,
        [JSON_NULL] = SCHEMA_NULL,
    };
    return (schema->types & types[json_typeof(value)]) != 0;
}

static json_t *read_boolean(struct text text) {
    if (text_equal_ignoring_case(text, TEXT("true"))) // spreadsheets shout
        return json_true();
    return text_equal_ignoring_case(text, TEXT("false")) ? json_false() : NULL;
}

// The value of a field that is not absent. NULL when it is not UTF-8, or there is no memory.
static json_t *read_field(const struct schema *schema, const struct csv_field *field) {
    bool may_be_string = schema->types & SCHEMA_STRING;
    bool may_be_other = schema->types & (unsigned)~(SCHEMA_STRING | SCHEMA_NULL);
    if (may_be_other && !(may_be_string && field->quoted)) {
        struct failure ignored;
        json_t *value = schema->types & SCHEMA_BOOLEAN ? read_boolean(field->text) : NULL;
        if (!value)
            value = json_read(field->text, &ignored);
        if (value && !json_is_string(value) && has_type(schema, value))
            return value;
        json_decref(value);
    }
    return json_stringn(field->text.data, field->text.size);
}

// Puts a value where a column's path leads, making the objects on the way. Takes the value.
static bool put_value(json_t *record, const struct csv_column *column, json_t *value) {
    json_t *object = record;
    for (size_t i = 0; i + 1 < column->path_length; i++) {
        struct text name = column->path[i];
        json_t *next = json_object_getn(object, name.data, name.size);
        if (!next) {
            next = json_object();
            if (json_object_setn_new(object, name.data, name.size, next) != 0) {
                json_decref(value);
                return false;
            }
        }
        object = next;
    }
    struct text name = column->path[column->path_length - 1];
    return json_object_setn_new(object, name.data, name.size, value) == 0;
}

static bool put_field(json_t *record, const struct csv_column *column,
                      const struct csv_field *field, struct failure *failure) {
    if (field->text.size == 0 && !field->quoted)
        return true;
    if (!text_is_utf8(field->text))
        return failure_set(failure, FAILURE_INVALID_BODY, "the column \"%.*s\" is not UTF-8",
                           TEXT_ARGS(column->name));
    json_t *value = read_field(column->schema, field);
    return (value && put_value(record, column, value)) || failure_out_of_memory(failure);
}

json_t *csv_columns_record(const struct csv_columns *columns, const struct csv_field *fields,
                           size_t field_count, struct failure *failure) {
    if (field_count != columns->count) {
        failure_set(failure, FAILURE_INVALID_BODY, "the row has %zu %s, the header %zu",
                    field_count, field_count == 1 ? "field" : "fields", columns->count);
        return NULL;
    }
    json_t *record = json_object();
    if (!record) {
        failure_out_of_memory(failure);
        return NULL;
    }
    for (size_t i = 0; i < field_count; i++) {
        if (!put_field(record, &columns->items[i], &fields[i], failure)) {
            json_decref(record);
            return NULL;
        }
    }
    return record;
}

// ---- Records to rows

static const json_t *find_value(const json_t *record, const struct csv_column *column) {
    const json_t *value = record;
    for (size_t i = 0; value && i < column->path_length; i++)
        value = json_object_getn(value, column->path[i].data, column->path[i].size);
    return value;
}

static void write_value(struct buffer *out, const struct csv_column *column, const json_t *value) {
    if (!value || json_is_null(value))
        return;
    if (json_is_string(value)) {
        struct text text = json_text(value);
        bool ambiguous = column->schema->types & (unsigned)~(SCHEMA_STRING | SCHEMA_NULL);
        csv_write(out, text, ambiguous || text.size == 0);
        return;
    }
    struct buffer json = {0};
    struct json_writer writer = json_writer_on(&json);
    json_write_tree(&writer, value);
    csv_write(out, buffer_text(&json), false);
    out->failed |= json.failed;
    buffer_free(&json);
}

void csv_columns_write(const struct csv_columns *columns, const json_t *record,
                       struct buffer *out) {
    for (size_t i = 0; i < columns->count; i++) {
        if (i > 0)
            buffer_append_byte(out, ',');
        write_value(out, &columns->items[i], find_value(record, &columns->items[i]));
    }
    buffer_append_string(out, "\r\n");
}

void csv_columns_write_header(const struct csv_columns *columns, struct buffer *out) {
    for (size_t i = 0; i < columns->count; i++) {
        if (i > 0)
            buffer_append_byte(out, ',');
        csv_write(out, columns->items[i].name, false);
    }
    buffer_append_string(out, "\r\n");
}

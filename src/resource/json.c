#include "resource/json.h"

#include <stdio.h>

// Where the text leaves what is allowed in depth: the offset of the bracket that is one too many,
// or -1. Looked for beforehand, since a tree does not know where its nodes stood.
static ptrdiff_t find_too_deep(struct text source) {
    int depth = 0;
    for (size_t i = 0; i < source.size; i++) {
        char c = source.data[i];
        if (c == '"') {
            for (i++; i < source.size && source.data[i] != '"'; i++)
                i += source.data[i] == '\\';
        } else if (c == '[' || c == '{') {
            if (++depth > JSON_MAX_DEPTH)
                return (ptrdiff_t)i;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return -1;
}

static bool refuse_depth(struct failure *failure, struct text source, size_t offset) {
    size_t line = 1;
    size_t start = 0;
    for (size_t i = 0; i < offset; i++) {
        if (source.data[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
    size_t column = text_utf8_length(text_of(source.data + start, offset - start)) + 1;
    return failure_set(failure, FAILURE_MALFORMED_JSON,
                       "line %zu, column %zu: more than %d levels of arrays and objects", line,
                       column, JSON_MAX_DEPTH);
}

// What an error of jansson's means here; NULL where its own words do.
static const char *explain(enum json_error_code code) {
    switch (code) {
    case json_error_invalid_utf8: return "this is not UTF-8";
    case json_error_premature_end_of_input: return "the text ends too early";
    case json_error_end_of_input_expected: return "there is more behind the end of the value";
    case json_error_null_character:
    case json_error_null_byte_in_key: return "U+0000 is not allowed";
    case json_error_duplicate_key: return "the member is there twice";
    case json_error_numeric_overflow:
        return "the number is too large: an integer has at most 64 bits, any other number those of "
               "a double";
    case json_error_stack_overflow: return "too many levels of arrays and objects";
    default: return NULL;
    }
}

static bool refuse_syntax(struct failure *failure, const json_error_t *error) {
    enum json_error_code code = json_error_code(error);
    if (code == json_error_out_of_memory || error->text[0] == '\0')
        return failure_out_of_memory(failure);
    const char *detail = explain(code);
    if (!detail)
        detail = text_is_utf8(text_from_string(error->text)) ? error->text : "this is not JSON";
    // A position of 0 is that of an empty text.
    return failure_set(failure, FAILURE_MALFORMED_JSON, "line %d, column %d: %s",
                       error->line > 0 ? error->line : 1, error->column > 0 ? error->column : 1,
                       detail);
}

json_t *json_read(struct text source, struct failure *failure) {
    ptrdiff_t too_deep = find_too_deep(source);
    if (too_deep >= 0) {
        refuse_depth(failure, source, (size_t)too_deep);
        return NULL;
    }
    json_error_t error = {0};
    json_t *tree = json_loadb(source.data ? source.data : "", source.size,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!tree)
        refuse_syntax(failure, &error);
    return tree;
}

struct text json_text(const json_t *string) {
    return text_of(json_string_value(string), json_string_length(string));
}

static void write_object(struct json_writer *writer, const json_t *object) {
    json_write_object_begin(writer);
    const char *name;
    json_t *member;
    // The macro wants to be able to change what it walks over.
    json_object_foreach((json_t *)object, name, member) {
        json_write_name(writer, text_from_string(name));
        json_write_tree(writer, member);
    }
    json_write_object_end(writer);
}

static void write_array(struct json_writer *writer, const json_t *array) {
    json_write_array_begin(writer);
    for (size_t i = 0; i < json_array_size(array); i++)
        json_write_tree(writer, json_array_get(array, i));
    json_write_array_end(writer);
}

void json_write_tree(struct json_writer *writer, const json_t *tree) {
    switch (json_typeof(tree)) {
    case JSON_OBJECT: write_object(writer, tree); break;
    case JSON_ARRAY: write_array(writer, tree); break;
    case JSON_STRING: json_write_string(writer, json_text(tree)); break;
    case JSON_INTEGER: json_write_integer(writer, json_integer_value(tree)); break;
    case JSON_REAL: json_write_real(writer, json_real_value(tree)); break;
    case JSON_TRUE: json_write_boolean(writer, true); break;
    case JSON_FALSE: json_write_boolean(writer, false); break;
    case JSON_NULL: json_write_null(writer); break;
    }
}

// Sets or, by null, removes one member of a tree in the making.
static bool merge_member(json_t *result, const char *name, const json_t *patch) {
    if (json_is_null(patch)) {
        json_object_del(result, name); // fails only where there is none
        return true;
    }
    json_t *merged = json_merge_patch(json_object_get(result, name), patch);
    return json_object_set_new_nocheck(result, name, merged) == 0;
}

// Subtrees that stay as they are are shared: trees are never changed once they are made.
json_t *json_merge_patch(const json_t *target, const json_t *patch) {
    if (!json_is_object(patch))
        return json_incref((json_t *)patch);
    json_t *result = json_is_object(target) ? json_copy((json_t *)target) : json_object();
    if (!result)
        return NULL;
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)patch, name, member) {
        if (!merge_member(result, name, member)) {
            json_decref(result);
            return NULL;
        }
    }
    return result;
}

void json_pointer_append(struct buffer *pointer, struct text name) {
    buffer_append_byte(pointer, '/');
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == '~')
            buffer_append_string(pointer, "~0");
        else if (name.data[i] == '/')
            buffer_append_string(pointer, "~1");
        else
            buffer_append_byte(pointer, name.data[i]);
    }
}

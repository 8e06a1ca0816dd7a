#include "resource/json_equality.h"

#include "resource/json.h"
#include "resource/number.h"

#include <stdlib.h>

static bool objects_are_equal(const json_t *a, const json_t *b) {
    if (json_object_size(a) != json_object_size(b))
        return false;
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)a, name, member) {
        const json_t *other = json_object_get(b, name);
        if (!other || !json_is_equal(member, other))
            return false;
    }
    return true;
}

static bool arrays_are_equal(const json_t *a, const json_t *b) {
    if (json_array_size(a) != json_array_size(b))
        return false;
    for (size_t i = 0; i < json_array_size(a); i++) {
        if (!json_is_equal(json_array_get(a, i), json_array_get(b, i)))
            return false;
    }
    return true;
}

bool json_is_equal(const json_t *a, const json_t *b) {
    if (json_is_number(a) && json_is_number(b))
        return number_compare(number_from_json(a), number_from_json(b)) == 0;
    if (json_typeof(a) != json_typeof(b))
        return false;
    if (json_is_object(a))
        return objects_are_equal(a, b);
    if (json_is_array(a))
        return arrays_are_equal(a, b);
    return !json_is_string(a) || text_equal(json_text(a), json_text(b));
}

static void append_sized(struct buffer *out, char type, struct text text) {
    buffer_append_byte(out, type);
    buffer_append(out, &text.size, sizeof text.size);
    buffer_append_text(out, text);
}

static void append_canonical_number(struct buffer *out, const json_t *value) {
    int64_t integer = json_integer_value(value);
    double real = json_real_value(value);
    if (json_is_integer(value) || number_to_integer(real, &integer)) {
        buffer_append_byte(out, 'i');
        buffer_append(out, &integer, sizeof integer);
    } else {
        buffer_append_byte(out, 'r');
        buffer_append(out, &real, sizeof real);
    }
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void append_canonical_object(struct buffer *out, const json_t *object) {
    size_t count = json_object_size(object);
    const char **names = malloc((count ? count : 1) * sizeof *names);
    if (!names) {
        out->failed = true;
        return;
    }
    size_t i = 0;
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)object, name, member) names[i++] = name;
    qsort(names, count, sizeof *names, compare_names);
    append_sized(out, 'o', text_of(NULL, 0));
    buffer_append(out, &count, sizeof count);
    for (i = 0; i < count; i++) {
        append_sized(out, 'n', text_from_string(names[i]));
        json_append_canonical(out, json_object_get(object, names[i]));
    }
    free(names);
}

void json_append_canonical(struct buffer *out, const json_t *value) {
    size_t count = json_array_size(value);
    switch (json_typeof(value)) {
    case JSON_OBJECT: append_canonical_object(out, value); break;
    case JSON_ARRAY:
        buffer_append_byte(out, 'a');
        buffer_append(out, &count, sizeof count);
        for (size_t i = 0; i < count; i++)
            json_append_canonical(out, json_array_get(value, i));
        break;
    case JSON_STRING: append_sized(out, 's', json_text(value)); break;
    case JSON_INTEGER:
    case JSON_REAL: append_canonical_number(out, value); break;
    case JSON_TRUE: buffer_append_byte(out, 't'); break;
    case JSON_FALSE: buffer_append_byte(out, 'f'); break;
    case JSON_NULL: buffer_append_byte(out, '0'); break;
    }
}

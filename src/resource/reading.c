#include "resource/reading.h"

#include "resource/definition_reader.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum { SHOWN_MAX = 60, WORD_MAX = 40 };

// ---- Notes ----

bool reading_note(struct reading *reading, const struct yaml_node *node, const char *format, ...) {
    char message[900];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    struct text whole = text_whole_characters(text_from_string(size < 0 ? "" : message));
    diagnostics_add(reading->diagnostics, reading->file, node ? node->line : 0,
                    node ? node->column : 0, "%.*s", TEXT_ARGS(whole));
    return false;
}

bool reading_out_of_memory(struct reading *reading) {
    reading->diagnostics->out_of_memory = true;
    return false;
}

// What stands in the source from a line and a column (in characters) on; data is NULL where it has
// no such place.
static struct text source_from(struct text source, int line, int column) {
    if (text_starts_with(source, TEXT("\xEF\xBB\xBF")))
        source = text_from(source, 3);
    size_t at = 0;
    for (; line > 1 && at < source.size; at++) {
        char c = source.data[at];
        if (c == '\n' || (c == '\r' && (at + 1 == source.size || source.data[at + 1] != '\n')))
            line--;
    }
    for (; column > 1 && at < source.size; column--)
        at += text_utf8_size(text_from(source, at));
    return line > 1 || column > 1 ? (struct text){NULL, 0} : text_from(source, at);
}

bool reading_note_inside(struct reading *reading, const struct yaml_node *scalar, size_t offset,
                         const char *detail) {
    struct text written = source_from(reading->source, scalar->line, scalar->column);
    bool quote = scalar->quoted && written.size && strchr("\"'", written.data[0]);
    if (quote)
        written = text_from(written, 1);
    bool verbatim = (quote || !scalar->quoted) && text_starts_with(written, scalar->scalar) &&
                    text_find(scalar->scalar, '\n') < 0;
    struct yaml_node place = *scalar;
    if (verbatim && offset <= scalar->scalar.size) {
        size_t characters = text_utf8_length(text_of(scalar->scalar.data, offset));
        place.column += (int)characters + quote;
        // The place in the file says it better than the place in the expression.
        const char *rest = strstr(detail, ": ");
        if (rest && text_starts_with(text_from_string(detail), TEXT("at character ")))
            detail = rest + 2;
    }
    return reading_note(reading, &place, "%s", detail);
}

struct text reading_shown(struct text text) {
    return text.size <= SHOWN_MAX ? text : text_whole_characters(text_of(text.data, SHOWN_MAX));
}

// ---- Words ----

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static unsigned least(unsigned a, unsigned b) {
    return a < b ? a : b;
}

// How many letters must be put in, left out, changed, or swapped with their neighbour to make one
// word the other, without case.
static unsigned distance(struct text a, struct text b) {
    unsigned rows[3][WORD_MAX + 1];
    for (unsigned j = 0; j <= b.size; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a.size; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3];
        const unsigned *before = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b.size; j++) {
            bool same = lower(a.data[i - 1]) == lower(b.data[j - 1]);
            row[j] = least(above[j - 1] + !same, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && lower(a.data[i - 1]) == lower(b.data[j - 2]) &&
                lower(a.data[i - 2]) == lower(b.data[j - 1]))
                row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return rows[a.size % 3][b.size];
}

// The word that was probably meant, or NULL.
static const char *suggest(struct text word, const char *const *known) {
    const char *best = NULL;
    unsigned best_distance = word.size < 4 ? 2 : 3; // one or two slips
    if (word.size > WORD_MAX)
        return NULL;
    for (; *known; known++) {
        struct text candidate = text_from_string(*known);
        if (candidate.size > WORD_MAX)
            continue;
        unsigned candidate_distance = distance(word, candidate);
        if (candidate_distance < best_distance) {
            best = *known;
            best_distance = candidate_distance;
        }
    }
    return best;
}

static void append_words(struct buffer *out, const char *const *words) {
    for (size_t i = 0; words[i]; i++) {
        if (i > 0)
            buffer_append_string(out, words[i + 1] ? ", " : " or ");
        buffer_append_string(out, words[i]);
    }
}

static bool note_unknown(struct reading *reading, const struct yaml_node *node, const char *what,
                         const char *const *known) {
    struct text shown = reading_shown(node->scalar);
    const char *meant = suggest(node->scalar, known);
    if (meant)
        return reading_note(reading, node, "unknown %s `%.*s`; did you mean `%s`?", what,
                            TEXT_ARGS(shown), meant);
    struct buffer words = {0};
    append_words(&words, known);
    if (words.failed)
        reading_out_of_memory(reading);
    else
        reading_note(reading, node, "unknown %s `%.*s`; expected %.*s", what, TEXT_ARGS(shown),
                     TEXT_ARGS(buffer_text(&words)));
    buffer_free(&words);
    return false;
}

static void check_keyword(struct reading *reading, const struct yaml_node *key,
                          const char *const *known, const struct refused_keyword *refused) {
    for (size_t i = 0; known[i]; i++) {
        if (text_is(key->scalar, known[i]))
            return;
    }
    for (; refused && refused->name; refused++) {
        if (text_is(key->scalar, refused->name)) {
            reading_note(reading, key, "`%s` %s", refused->name, refused->reason);
            return;
        }
    }
    note_unknown(reading, key, "keyword", known);
}

void reading_check_keywords(struct reading *reading, const struct yaml_node *mapping,
                            const char *const *known, const struct refused_keyword *refused) {
    for (size_t i = 0; i < mapping->mapping.count; i++)
        check_keyword(reading, mapping->mapping.pairs[i].key, known, refused);
}

bool reading_word(struct reading *reading, const struct yaml_node *node, const char *what,
                  const char *const *words, size_t *ret_index) {
    if (node->kind == YAML_SEQUENCE || node->kind == YAML_MAPPING)
        return reading_note(reading, node, "expected the name of %s; this is %s", what,
                            yaml_kind_name(node->kind));
    for (size_t i = 0; words[i]; i++) {
        if (text_is(node->scalar, words[i])) {
            *ret_index = i;
            return true;
        }
    }
    // "an action" is unknown as "action".
    const char *noun = strchr(what, ' ');
    return note_unknown(reading, node, noun ? noun + 1 : what, words);
}

// ---- Nodes ----

bool reading_expect(struct reading *reading, const struct yaml_node *node, enum yaml_kind kind,
                    const char *what) {
    return node->kind == kind || reading_note(reading, node, "`%s` must be %s; it is %s", what,
                                              yaml_kind_name(kind), yaml_kind_name(node->kind));
}

bool reading_boolean(struct reading *reading, const struct yaml_node *node, const char *what,
                     bool *ret_boolean) {
    if (node->kind != YAML_BOOLEAN)
        return reading_note(reading, node, "`%s` must be true or false; it is %s", what,
                            yaml_kind_name(node->kind));
    *ret_boolean = node->boolean;
    return true;
}

bool reading_string(struct reading *reading, const struct yaml_node *node, const char *what,
                    struct text *ret_text) {
    if (!reading_expect(reading, node, YAML_STRING, what))
        return false;
    struct text copy = arena_copy(reading->arena, node->scalar);
    if (!copy.data)
        return reading_out_of_memory(reading);
    *ret_text = copy;
    return true;
}

bool reading_name(struct reading *reading, const struct yaml_node *node, const char *what,
                  struct text *ret_name) {
    if (node->kind == YAML_SEQUENCE || node->kind == YAML_MAPPING)
        return reading_note(reading, node, "expected the name of %s; this is %s", what,
                            yaml_kind_name(node->kind));
    if (!definition_name_is_valid(node->scalar))
        return reading_note(reading, node,
                            "`%.*s` cannot name %s: a name has small letters, digits and _, begins "
                            "with a letter, and is at most 63 long",
                            TEXT_ARGS(reading_shown(node->scalar)), what);
    struct text copy = arena_copy(reading->arena, node->scalar);
    if (!copy.data)
        return reading_out_of_memory(reading);
    *ret_name = copy;
    return true;
}

// ---- Values ----

static json_t *json_of_mapping(struct reading *reading, const struct yaml_node *node,
                               bool numbers_as_text) {
    json_t *object = json_object();
    for (size_t i = 0; object && i < node->mapping.count; i++) {
        const struct yaml_pair *pair = &node->mapping.pairs[i];
        struct text name = arena_copy(reading->arena, pair->key->scalar);
        json_t *member = reading_json(reading, pair->value, numbers_as_text);
        // It takes the member in any case, and refuses a name that there was no memory for.
        if (!member || json_object_set_new_nocheck(object, name.data, member)) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *json_of_sequence(struct reading *reading, const struct yaml_node *node,
                                bool numbers_as_text) {
    json_t *array = json_array();
    for (size_t i = 0; array && i < node->sequence.count; i++) {
        json_t *item = reading_json(reading, node->sequence.items[i], numbers_as_text);
        if (!item || json_array_append_new(array, item)) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *json_of_scalar(const struct yaml_node *node, bool numbers_as_text) {
    bool number = node->kind == YAML_INTEGER || node->kind == YAML_REAL;
    if (node->kind == YAML_STRING || (number && numbers_as_text))
        return json_stringn_nocheck(node->scalar.data ? node->scalar.data : "", node->scalar.size);
    if (node->kind == YAML_BOOLEAN)
        return json_boolean(node->boolean);
    if (node->kind == YAML_INTEGER)
        return json_integer(node->integer);
    return node->kind == YAML_REAL ? json_real(node->real) : json_null();
}

json_t *reading_json(struct reading *reading, const struct yaml_node *node, bool numbers_as_text) {
    if (node->kind == YAML_REAL && !isfinite(node->real)) {
        reading_note(reading, node, "`%.*s` is no number in JSON", TEXT_ARGS(node->scalar));
        return NULL;
    }
    size_t before = reading_notes(reading);
    json_t *value;
    if (node->kind == YAML_MAPPING)
        value = json_of_mapping(reading, node, numbers_as_text);
    else if (node->kind == YAML_SEQUENCE)
        value = json_of_sequence(reading, node, numbers_as_text);
    else
        value = json_of_scalar(node, numbers_as_text);
    if (!value && reading_notes(reading) == before)
        reading_out_of_memory(reading);
    return value;
}

void reading_note_faults(struct reading *reading, const struct yaml_node *node, const char *what,
                         const struct faults *faults) {
    if (faults->out_of_memory)
        reading_out_of_memory(reading);
    for (size_t i = 0; i < faults->count; i++) {
        const struct fault *fault = &faults->items[i];
        if (fault->pointer.size)
            reading_note(reading, node, "`%s` does not fit its schema: %.*s %.*s", what,
                         TEXT_ARGS(reading_shown(fault->pointer)), TEXT_ARGS(fault->detail));
        else
            reading_note(reading, node, "`%s` does not fit its schema: it %.*s", what,
                         TEXT_ARGS(fault->detail));
    }
}

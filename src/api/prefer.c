#include "api/prefer.h"

#include "http/field_list.h"

// The names, each with what it may say.
enum word { WORD_RETURN, WORD_HANDLING, WORD_WAIT, WORD_ASYNC, WORDS };

static const struct text words[WORDS] = {
    [WORD_RETURN] = TEXT_INIT("return"),
    [WORD_HANDLING] = TEXT_INIT("handling"),
    [WORD_WAIT] = TEXT_INIT("wait"),
    [WORD_ASYNC] = TEXT_INIT("respond-async"),
};

static const struct {
    enum word word;
    const char *value; // NULL: it has none, or a number
    const char *written;
} table[PREFERENCES] = {
    [PREFER_MINIMAL] = {WORD_RETURN, "minimal", "return=minimal"},
    [PREFER_REPRESENTATION] = {WORD_RETURN, "representation", "return=representation"},
    [PREFER_STRICT] = {WORD_HANDLING, "strict", "handling=strict"},
    [PREFER_LENIENT] = {WORD_HANDLING, "lenient", "handling=lenient"},
    [PREFER_WAIT] = {WORD_WAIT, NULL, "wait="},
    [PREFER_ASYNC] = {WORD_ASYNC, NULL, "respond-async"},
};

const char *prefer_name(enum preference preference) {
    return table[preference].written;
}

static bool read_seconds(struct text value, unsigned *ret_seconds) {
    unsigned seconds = 0;
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return false;
        seconds = 10 * seconds + (unsigned)(value.data[i] - '0');
        if (seconds > PREFER_WAIT_MOST)
            seconds = PREFER_WAIT_MOST;
    }
    *ret_seconds = seconds;
    return seconds > 0;
}

// Whether a value is this word; of a quoted string each byte behind a "\" stands for itself.
static bool value_is(const struct field_parameter *parameter, const char *word) {
    struct text value = parameter->value;
    size_t at = 0;
    for (; at < value.size && *word; at++, word++) {
        if (parameter->quoted && value.data[at] == '\\' && at + 1 < value.size)
            at++;
        if (!text_equal_ignoring_case(text_of(value.data + at, 1), text_of(word, 1)))
            return false;
    }
    return at == value.size && !*word;
}

static bool says(const struct field_parameter *parameter, enum preference preference,
                 struct preferences *preferences) {
    if (preference == PREFER_WAIT)
        return read_seconds(parameter->value, &preferences->wait);
    if (!table[preference].value)
        return parameter->value.size == 0;
    return value_is(parameter, table[preference].value);
}

static bool find_word(struct text name, enum word *ret_word) {
    for (unsigned i = 0; i < WORDS; i++) {
        if (!text_equal_ignoring_case(name, words[i]))
            continue;
        *ret_word = (enum word)i;
        return true;
    }
    return false;
}

static void note_other(struct preferences *preferences, struct text name) {
    if (!preferences->others)
        preferences->other = name;
    preferences->others = true;
}

static void note(const struct field_parameter *parameter, unsigned *seen,
                 struct preferences *preferences) {
    enum word word;
    if (!find_word(parameter->name, &word)) {
        note_other(preferences, parameter->name);
        return;
    }
    if (*seen & 1U << word)
        return;
    *seen |= 1U << word;
    for (unsigned i = 0; i < PREFERENCES; i++) {
        if (table[i].word != word || !says(parameter, (enum preference)i, preferences))
            continue;
        preferences->asked |= 1U << i;
        return;
    }
    note_other(preferences, parameter->name);
}

void prefer_read(struct text field, struct preferences *ret_preferences) {
    struct preferences preferences = {.asked = 0};
    unsigned seen = 0;
    struct text member;
    struct text first;
    while (field_list_next(&field, ',', &member)) {
        struct field_parameter parameter;
        if (field_list_next(&member, ';', &first) && field_parameter_read(first, &parameter))
            note(&parameter, &seen, &preferences);
        else
            note_other(&preferences, (struct text){NULL, 0});
    }
    *ret_preferences = preferences;
}

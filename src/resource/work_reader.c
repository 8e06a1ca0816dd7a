#include "base/quantity.h"
#include "resource/definition_reading.h"

// Milliseconds; tries.
enum { LIMIT_DEFAULT = 60 * 60 * 1000, LIMIT_LEAST = 1000, RETRIES_MAX = 1000 };
#define LIMIT_MOST UINT64_C(2592000000) // 30 days

bool definition_has_work(const struct definition *definition) {
    const struct yaml_node *node = yaml_get(definition->root, "transitions");
    for (size_t i = 0; node && node->kind == YAML_MAPPING && i < node->mapping.count; i++) {
        if (yaml_get(node->mapping.pairs[i].value, "run"))
            return true;
    }
    return false;
}

static bool is_scalar(const struct yaml_node *node) {
    return node->kind != YAML_SEQUENCE && node->kind != YAML_MAPPING;
}

// A scalar's text, whatever else it could mean: a word of a command, the value of a variable.
static bool read_text(struct reading *reading, const struct yaml_node *node, const char *what,
                      struct text *ret_text) {
    if (!is_scalar(node))
        return reading_note(reading, node, "%s must be a string; this is %s", what,
                            yaml_kind_name(node->kind));
    *ret_text = arena_copy(reading->arena, node->scalar);
    return ret_text->data || reading_out_of_memory(reading);
}

// ---- The command ----

static void read_words(struct reading *reading, const struct yaml_node *node, struct work *work) {
    work->command =
        arena_allocate_zero(reading->arena, node->sequence.count, sizeof *work->command);
    if (!work->command) {
        reading_out_of_memory(reading);
        return;
    }
    for (size_t i = 0; i < node->sequence.count; i++)
        work->command_count += read_text(reading, node->sequence.items[i], "a word of a command",
                                         &work->command[work->command_count]);
    if (work->command_count && work->command[0].size == 0)
        reading_note(reading, node->sequence.items[0], "a command cannot be empty");
}

static void read_run(struct reading *reading, const struct yaml_node *node, struct work *work) {
    if (node->kind == YAML_SEQUENCE && node->sequence.count)
        read_words(reading, node, work);
    else if (node->kind != YAML_STRING || !text_is(node->scalar, "agent"))
        reading_note(reading, node,
                     "`run` is a command as a list of its words, such as [trestle, fetch], or the "
                     "word agent");
}

// ---- What stands beside it ----

static void read_time_limit(struct reading *reading, const struct yaml_node *node,
                            struct work *work) {
    uint64_t ms = 0;
    bool valid = is_scalar(node) && quantity_parse_duration(node->scalar, &ms) &&
                 ms >= LIMIT_LEAST && ms <= LIMIT_MOST;
    if (valid)
        work->time_limit = (int64_t)ms;
    else
        reading_note(reading, node, "`time_limit` is a time such as 90s, 10m or 2h, 1s to 30d");
}

static void read_retries(struct reading *reading, const struct yaml_node *node, struct work *work) {
    if (node->kind == YAML_INTEGER && node->integer >= 0 && node->integer <= RETRIES_MAX)
        work->retries = node->integer;
    else
        reading_note(reading, node, "`retries` is a whole number from 0 to %d", RETRIES_MAX);
}

static bool is_variable_name(struct text name) {
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        char lower = (char)(c | 0x20);
        if (!(lower >= 'a' && lower <= 'z') && c != '_' && !(i && c >= '0' && c <= '9'))
            return false;
    }
    return name.size > 0;
}

static void read_variable(struct reading *reading, const struct yaml_pair *pair,
                          struct work *work) {
    struct text name = pair->key->scalar;
    struct variable variable;
    if (!is_variable_name(name))
        reading_note(reading, pair->key,
                     "`%.*s` cannot name a variable: a name has letters, digits and _, and begins "
                     "with no digit",
                     TEXT_ARGS(reading_shown(name)));
    else if (text_starts_with(name, TEXT("TRESTLE_")))
        reading_note(reading, pair->key, "`%.*s` is a variable that trestle itself sets",
                     TEXT_ARGS(reading_shown(name)));
    else if (read_text(reading, pair->key, "a name", &variable.name) &&
             read_text(reading, pair->value, "a variable's value", &variable.value))
        work->environment[work->environment_count++] = variable;
}

static void read_environment(struct reading *reading, const struct yaml_node *node,
                             struct work *work) {
    if (!reading_expect(reading, node, YAML_MAPPING, "environment"))
        return;
    work->environment =
        arena_allocate_zero(reading->arena, node->mapping.count, sizeof *work->environment);
    if (!work->environment) {
        reading_out_of_memory(reading);
        return;
    }
    for (size_t i = 0; i < node->mapping.count; i++)
        read_variable(reading, &node->mapping.pairs[i], work);
}

// ---- The whole ----

static const struct {
    const char *name;
    void (*read)(struct reading *reading, const struct yaml_node *node, struct work *work);
} parts[] = {
    {"run", read_run},
    {"time_limit", read_time_limit},
    {"retries", read_retries},
    {"environment", read_environment},
};

const struct work *definition_read_work(struct definition *definition,
                                        const struct yaml_node *transition) {
    struct reading *reading = definition->reading;
    bool long_lasting = yaml_get(transition, "run");
    struct work *work = arena_allocate_zero(reading->arena, 1, sizeof *work);
    if (!work) {
        reading_out_of_memory(reading);
        return NULL;
    }
    work->time_limit = LIMIT_DEFAULT;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const struct yaml_node *node = yaml_get(transition, parts[i].name);
        if (node && long_lasting)
            parts[i].read(reading, node, work);
        else if (node)
            reading_note(reading, node, "`%s` goes with `run`, which is missing", parts[i].name);
    }
    return long_lasting ? work : NULL;
}

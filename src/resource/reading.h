// What the parts of the definitions' reader share: what they read, where they note what is wrong,
// and the questions that they all ask of a node. Notes return false so that `return
// reading_note(…)` reads well.
#pragma once

#include "base/diagnostics.h"
#include "base/yaml.h"
#include "resource/validate.h"

struct reading {
    struct arena *arena;
    struct text file;
    struct text source;
    struct diagnostics *diagnostics;
};

bool reading_note(struct reading *reading, const struct yaml_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool reading_out_of_memory(struct reading *reading);

// How many notes there are, to find out whether something was noted since.
static inline size_t reading_notes(const struct reading *reading) {
    return reading->diagnostics->count + reading->diagnostics->out_of_memory;
}

// Notes something about the text of a scalar, at the character that `offset` (in bytes) tells where
// the scalar stands in the source as it is; else at the scalar's beginning.
bool reading_note_inside(struct reading *reading, const struct yaml_node *scalar, size_t offset,
                         const char *detail);

// A text cut to what a message repeats of it.
struct text reading_shown(struct text text);

// A node's kind must be this one; `what` is the keyword, for the note.
bool reading_expect(struct reading *reading, const struct yaml_node *node, enum yaml_kind kind,
                    const char *what);

// A keyword that is known but refused, and why: a sentence's rest behind its name.
struct refused_keyword {
    const char *name;
    const char *reason;
};

// Notes each key of a mapping that is not among `known`, which ends with NULL, as does `refused`.
void reading_check_keywords(struct reading *reading, const struct yaml_node *mapping,
                            const char *const *known, const struct refused_keyword *refused);

// Which of `words` (NULL at their end) a scalar is; notes what else it is. `what` is a noun.
bool reading_word(struct reading *reading, const struct yaml_node *node, const char *what,
                  const char *const *words, size_t *ret_index);

// A boolean.
bool reading_boolean(struct reading *reading, const struct yaml_node *node, const char *what,
                     bool *ret_boolean);

// A string, copied with a zero at its end.
bool reading_string(struct reading *reading, const struct yaml_node *node, const char *what,
                    struct text *ret_text);

// A name by definition_name_is_valid, copied with a zero at its end; `what` is a noun.
bool reading_name(struct reading *reading, const struct yaml_node *node, const char *what,
                  struct text *ret_name);

// The JSON value of a node. Notes what JSON does not have. With `numbers_as_text` a number becomes
// a string as it is written, which is what a decimal is in JSON.
json_t *reading_json(struct reading *reading, const struct yaml_node *node, bool numbers_as_text);

// Notes what validation found wrong with the value of a keyword.
void reading_note_faults(struct reading *reading, const struct yaml_node *node, const char *what,
                         const struct faults *faults);

// A definition while it is read, and the parts of its reader. All of it belongs to the reading's
// arena and is gone with it.
#pragma once

#include "resource/definition_reader.h"
#include "resource/expression.h"
#include "resource/property_reader.h"

enum {
    INDEX_ROW_MAX = 2704, // bytes: PostgreSQL's limit for a row of a B-tree
    INDEX_ROW_OVERHEAD = 16,
};

// What stands in the file besides what the resource keeps of it.
struct definition {
    struct reading *reading;
    const struct yaml_node *root;
    struct resource *resource;
    bool built_in;                    // it may say what those of others may not
    struct text key_name;             // a made key's, or a declared property's
    const struct yaml_node *key_node; // where it is named; NULL where it is not
    struct text key_source;           // sha256(…)
    struct text state_name;           // of the lifecycle's property; data NULL: none
    const struct yaml_node *state_node;
    const struct yaml_node **nodes;    // of the properties; NULL for those that are made
    bool *typed;                       // whether the properties' kinds are known
    const struct definition **targets; // what the properties refer to; NULL for nothing
    bool *lost;                        // whether they refer to what is not there
    bool complete;                     // its properties were read, so that the rest can be
    bool faulty; // something is wrong with its properties, or with what others may see of it
};

// Whether a word is one of some; NULL ends them.
bool definition_word_is(struct text word, const char *const *words);

// Whether it is a query parameter of every list.
bool definition_is_parameter(struct text word);

// Notes a name that no property may have.
bool definition_check_property_name(struct definition *definition, const struct yaml_node *node,
                                    struct text name);

// `key` and `lifecycle` are read before the properties, of which they may make one, and tied to
// them once they are there.
void definition_read_key(struct definition *definition);
void definition_link_key(struct definition *definition);
void definition_read_lifecycle(struct definition *definition);
void definition_link_lifecycle(struct definition *definition);

// `references`, once all definitions were begun.
void definition_link_references(struct definition *definition, struct definition *const *all,
                                size_t count);

// `unique` and `indexes`; then the indexes that references need, so that nobody who deletes a
// record has to look at all that might refer to it.
void definition_read_groups(struct definition *definition, const char *what, bool unique);
void definition_index_references(struct definition *definition);

// An expression, of any scalar's text, which is copied into `ret_source`. NULL where it is wrong,
// which is noted, or where what is wrong with it is noted elsewhere.
struct expression *definition_read_expression(struct definition *definition,
                                              const struct yaml_node *scalar,
                                              enum expression_purpose purpose,
                                              const struct property *target,
                                              struct text *ret_source);

void definition_read_checks(struct definition *definition);
void definition_read_filters(struct definition *definition);

// Whether any of the transitions is long. It is asked before the properties are read, of which the
// operation that is under way is one.
bool definition_has_work(const struct definition *definition);

// `run` and what stands beside it; NULL where the transition is done at once, or it is wrong.
const struct work *definition_read_work(struct definition *definition,
                                        const struct yaml_node *transition);

// `transitions`: their names, then, when all else is there, what they are.
void definition_name_transitions(struct definition *definition);
void definition_read_transitions(struct definition *definition);

// A YAML document as a tree of nodes that know where they stand. All nodes and texts belong to the
// arena that the document was read into.
#pragma once

#include "base/arena.h"
#include "base/failure.h"

enum yaml_kind {
    YAML_NULL,
    YAML_BOOLEAN,
    YAML_INTEGER,
    YAML_REAL,
    YAML_STRING,
    YAML_SEQUENCE,
    YAML_MAPPING,
};

struct yaml_node {
    enum yaml_kind kind; // a plain scalar's by YAML 1.2's core schema (chapter 10.3)
    int line;            // 1 is the first
    int column;          // 1 is the first, counted in characters
    struct text scalar;  // a scalar's text as written (without quotes), whatever its kind
    bool quoted;         // a scalar in quotes or a block scalar: always a string
    union {
        bool boolean;
        int64_t integer;
        double real;
        struct {
            struct yaml_node **items;
            size_t count;
        } sequence;
        struct {
            struct yaml_pair *pairs;
            size_t count;
        } mapping;
    };
};

struct yaml_pair {
    struct yaml_node *key; // a scalar; no two of a mapping are equal
    struct yaml_node *value;
};

struct yaml_problem {
    int line; // 0: there was no memory
    int column;
    char detail[200];
};

// Reads the one document in `source`. An empty source is a YAML_NULL node. Refused, with the first
// problem's place: what is not YAML, a second document, keys that are repeated or no scalars,
// anchors and aliases, tags, more than 64 levels, integers that do not fit 64 bits, reals too large
// for a double, U+0000, and U+0085, U+2028 and U+2029 unless they are escaped (YAML 1.1 takes them
// for line breaks, 1.2 does not).
bool yaml_read(struct arena *arena, struct text source, struct yaml_node **ret_root,
               struct yaml_problem *problem);

// The value of a mapping's key, or NULL; NULL too when `node` is no mapping.
struct yaml_node *yaml_get(const struct yaml_node *node, const char *key);

// "a string", "an integer", …: for messages.
const char *yaml_kind_name(enum yaml_kind kind);

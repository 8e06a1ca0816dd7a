// A definition says what a resource is: its properties, its key, who may do what, and what must
// hold. It is made once, by definition_read, and never changed; everything in it belongs to the
// arena that it was read into, but for compiled patterns and JSON values, which definition_free
// gives back.
#pragma once

#include "base/arena.h"
#include "base/rate.h"
#include "store/value.h"

#include <jansson.h>

struct expression;
struct pattern;

// JSON Schema's types, as bits of a set.
enum schema_type {
    SCHEMA_NULL = 1 << 0,
    SCHEMA_BOOLEAN = 1 << 1,
    SCHEMA_INTEGER = 1 << 2,
    SCHEMA_NUMBER = 1 << 3, // of which every integer is one
    SCHEMA_STRING = 1 << 4,
    SCHEMA_ARRAY = 1 << 5,
    SCHEMA_OBJECT = 1 << 6,
    SCHEMA_ANY = (1 << 7) - 1,
};

enum schema_format {
    FORMAT_NONE,
    FORMAT_DATE_TIME, // RFC 3339 section 5.6
    FORMAT_DATE,
    FORMAT_UUID,    // RFC 9562
    FORMAT_URI,     // RFC 3986, with a scheme
    FORMAT_EMAIL,   // RFC 5321 section 4.1.2, Mailbox, without quoted and literal parts
    FORMAT_DECIMAL, // -?digits[.digits], at most `scale` of them behind the point
};

struct schema_member;

// What one JSON value must be: JSON Schema 2020-12's words, with the meaning they have there.
struct schema {
    unsigned types; // a set of schema_type
    enum schema_format format;
    uint8_t scale;           // FORMAT_DECIMAL: 0 to 18
    struct pattern *pattern; // or NULL
    struct text pattern_source;
    int64_t min_length; // in code points; 0 where not given
    int64_t max_length; // -1 where not given
    int64_t min_items;  // 0 where not given
    int64_t max_items;  // -1 where not given
    bool unique_items;
    struct value minimum; // these five: VALUE_NULL where not given, VALUE_INTEGER, VALUE_REAL or
    struct value maximum; // VALUE_DECIMAL (with the schema's scale)
    struct value exclusive_minimum;
    struct value exclusive_maximum;
    struct value multiple_of;
    json_t *enumeration;           // an array, or NULL
    json_t *constant;              // or NULL
    bool has_members;              // `properties` is given: other members are refused
    struct schema_member *members; // of an object
    size_t member_count;
    struct schema *items; // of an array, or NULL
    struct text description;
    json_t *examples; // an array, or NULL
};

struct schema_member {
    struct text name;
    bool required;
    struct schema schema;
};

// What becomes of a record when the one that it refers to is deleted.
enum on_delete {
    ON_DELETE_RESTRICT, // that one cannot be deleted
    ON_DELETE_CASCADE,  // it is deleted too
    ON_DELETE_SET_NULL, // it refers to nothing from then on
};

// That the values of a property are keys of another resource's records, or of the same one's.
struct reference {
    const struct resource *resource; // NULL: the property refers to nothing
    enum on_delete on_delete;
};

// One property of a resource, which is one column of its table. Keys and the lifecycle's state are
// properties too, made by the reader where the definition does not declare them.
struct property {
    struct text name;
    struct text prepared_name;  // "name": with quotes and colon, for json_write_prepared_name
    struct schema schema;       // its types have SCHEMA_NULL unless the property is required
    size_t index;               // in the resource's properties
    enum value_kind kind;       // how it is stored
    uint8_t scale;              // VALUE_DECIMAL
    bool required;              // must not be null
    bool read_only;             // clients cannot set it
    bool write_only;            // never shown
    bool counted;               // counted behind the backs of versions: a change leaves it alone
    struct text was;            // the column's former name, or empty
    struct value default_value; // VALUE_NULL: none; texts belong to the arena
    struct expression *default_expression; // or NULL
    struct reference reference;
    int line; // where it is declared; 0 where it is not
    int column;
};

enum key_kind {
    KEY_INTEGER,  // counted up by the database
    KEY_UUID,     // version 7 (RFC 9562), made by trestle
    KEY_SHA256,   // of the UTF-8 bytes of a string property; VALUE_BYTES, shown in hexadecimal
    KEY_PROPERTY, // a declared string property that clients choose
};

struct key {
    enum key_kind kind;
    struct property *property;
    struct property *source; // KEY_SHA256: what is digested
};

enum action {
    ACTION_LIST,
    ACTION_CREATE,
    ACTION_READ,
    ACTION_REPLACE,
    ACTION_UPDATE,
    ACTION_DELETE,
    ACTION_TRANSITION, // one of its transitions; a definition does not list it
    ACTIONS
};

enum access {
    ACCESS_KEY, // whose scopes have it
    ACCESS_PUBLIC,
    ACCESS_ADMIN, // a key of the scope admin; of what is built in
    ACCESS_EACH,  // of what is built in: each record says which resource's access it has
};

// An expression with a name: a check, or one value of a named filter.
struct named_expression {
    struct text name;
    struct text source; // as written
    struct expression *expression;
};

// ?NAME=VALUE, for each value an expression.
struct named_filter {
    struct text name;
    struct named_expression *values;
    size_t value_count;
};

// Columns that are unique together, or indexed together.
struct column_group {
    struct property **properties;
    size_t property_count;
};

// What a transition gives a property.
struct assignment {
    const struct property *property;
    struct text source; // as written
    const struct expression *expression;
};

// What a record becomes: another state, and other values.
struct effect {
    const struct text *to; // one of the lifecycle's states; NULL: it stays in its own
    struct assignment *set;
    size_t set_count;
    const struct named_expression **checks; // of the resource's, those that it may break
    size_t check_count;
};

// A variable of a command's environment.
struct variable {
    struct text name;
    struct text value;
};

// What is to be done before a long transition has its effect, by a command or by an agent.
struct work {
    struct text *command; // its words; none: agents alone do it
    size_t command_count;
    int64_t time_limit; // milliseconds
    int64_t retries;    // how often it is tried again when it failed
    struct variable *environment;
    size_t environment_count;
};

// A named step in a record's life: a guard, and what it does where the guard lets it.
struct transition {
    struct text name;
    struct text description;
    enum access access;
    struct rate_limit rate_limit;   // of one caller; all zero: none
    const struct text **from;       // of the lifecycle's states
    size_t from_count;              // 0: from all of them
    struct text when_source;        // as written
    const struct expression *when;  // NULL: always
    const struct expression *guard; // `from` and `when` as one condition; NULL: always
    struct effect effect;
    const struct expression *others_where; // the other records that it changes too, in which `this`
                                           // is the one that moves; NULL: none
    struct text others_where_source;
    struct effect others;
    const struct work *work; // NULL: it is done at once
};

struct lifecycle {
    struct property *property; // NULL: the resource has none
    struct text *states;       // the first is where a record starts
    size_t state_count;
};

// A property of a resource that refers to another.
struct referrer {
    const struct resource *resource;
    const struct property *property;
};

struct resource {
    struct text name;
    struct text table; // of the database; the resource's name, unless it is built in
    struct text file;  // where it was read from
    bool built_in;     // part of the program: nobody declared it
    struct text description;
    struct key key;
    struct property *properties; // in the order in which they are shown; a made key comes first, a
    size_t property_count;       // made state last
    bool actions[ACTIONS];
    enum access read_access;      // list, read
    enum access write_access;     // create, replace, update, delete
    struct rate_limit read_limit; // of one caller, for the same; all zero: none
    struct rate_limit write_limit;
    struct column_group *unique;
    size_t unique_count;
    struct column_group *indexes;
    size_t index_count;
    struct named_expression *checks;
    size_t check_count;
    struct named_filter *filters;
    size_t filter_count;
    struct lifecycle lifecycle;
    struct transition *transitions;
    size_t transition_count;
    struct property *operation; // hidden: which operation is under way for a record, if one is;
                                // NULL: none of the transitions is long
    bool versioned;             // what a key names can change, so the table has the column _version
    bool requires_match;        // who changes a record must say which one, by If-Match
    bool events;                // each change is noted in the outbox, and told to who listens
    bool counts;                // one of its properties is counted

    // Set by the catalogue, which knows all resources.
    struct referrer *referrers; // the properties that refer to this resource
    size_t referrer_count;
    size_t rank; // its place in an order in which those that it refers to come first, wherever
                 // cycles let them
};

enum { RESOURCE_MAX_PROPERTIES = 257 };

// The property of that name, or NULL.
struct property *resource_property(const struct resource *resource, struct text name);

// Whether clients neither see nor set it: for them it is not there. Only trestle itself makes such.
bool property_is_hidden(const struct property *property);

// A column group's or named filter's like.
const struct named_filter *resource_filter(const struct resource *resource, struct text name);

// The transition of that name, or NULL.
const struct transition *resource_transition(const struct resource *resource, struct text name);

// Whether a record can be stored before the one that a property of it refers to: the property's
// resource is the same, or comes later in the order of ranks.
bool reference_is_forward(const struct resource *resource, const struct property *property);

// Whether a stored record never changes nor goes, as far as anybody's requests are concerned.
bool resource_is_immutable(const struct resource *resource);

// "list", "create", …
const char *action_name(enum action action);

// Whether it changes nothing.
bool action_reads(enum action action);

// Who may do it; of transitions, each one says so itself.
enum access resource_access(const struct resource *resource, enum action action);

// A resource with a property of every kind, for tests of expressions that need no definition.
#pragma once

#include "resource/definition.h"

#define THING_SCHEMA(types_, format_)                                                              \
    { .types = (types_), .format = (format_) }
#define THING_MEMBER(name_, types_, format_)                                                       \
    { .name = TEXT_INIT(name_), .schema = THING_SCHEMA(types_, format_) }
#define THING(index_, name_, kind_, types_, format_)                                               \
    {                                                                                              \
        .name = TEXT_INIT(name_), .index = (index_), .kind = (kind_),                              \
        .schema = THING_SCHEMA(types_, format_)                                                    \
    }
#define THING_DECIMAL(index_, name_, scale_)                                                       \
    {                                                                                              \
        .name = TEXT_INIT(name_), .index = (index_), .kind = VALUE_DECIMAL, .scale = (scale_),     \
        .schema = {                                                                                \
            .types = SCHEMA_STRING,                                                                \
            .format = FORMAT_DECIMAL,                                                              \
            .scale = (scale_)                                                                      \
        }                                                                                          \
    }

static struct schema_member thing_depths[] = {
    THING_MEMBER("name", SCHEMA_STRING, FORMAT_NONE),
    THING_MEMBER("Size_1", SCHEMA_INTEGER | SCHEMA_NULL, FORMAT_NONE),
};

static struct schema_member thing_members[] = {
    THING_MEMBER("city", SCHEMA_STRING, FORMAT_NONE),
    THING_MEMBER("zip", SCHEMA_STRING | SCHEMA_NULL, FORMAT_NONE),
    THING_MEMBER("size", SCHEMA_INTEGER, FORMAT_NONE),
    THING_MEMBER("lat", SCHEMA_NUMBER, FORMAT_NONE),
    THING_MEMBER("open", SCHEMA_BOOLEAN, FORMAT_NONE),
    THING_MEMBER("opened", SCHEMA_STRING, FORMAT_DATE_TIME),
    THING_MEMBER("fee", SCHEMA_STRING, FORMAT_DECIMAL),
    THING_MEMBER("since", SCHEMA_STRING, FORMAT_DATE),
    THING_MEMBER("tags", SCHEMA_ARRAY, FORMAT_NONE),
    THING_MEMBER("mixed", SCHEMA_STRING | SCHEMA_INTEGER, FORMAT_NONE),
    THING_MEMBER("in", SCHEMA_STRING, FORMAT_NONE),
    {.name = TEXT_INIT("deep"),
     .schema = {.types = SCHEMA_OBJECT,
                .has_members = true,
                .members = thing_depths,
                .member_count = sizeof thing_depths / sizeof thing_depths[0]}},
};

static struct resource things;

static struct property thing_properties[] = {
    THING(0, "id", VALUE_INTEGER, SCHEMA_INTEGER, FORMAT_NONE),
    THING(1, "title", VALUE_TEXT, SCHEMA_STRING, FORMAT_NONE),
    THING(2, "code", VALUE_TEXT, SCHEMA_STRING, FORMAT_NONE),
    THING(3, "amount", VALUE_INTEGER, SCHEMA_INTEGER, FORMAT_NONE),
    THING(4, "cap", VALUE_INTEGER, SCHEMA_INTEGER, FORMAT_NONE),
    THING_DECIMAL(5, "price", 2),
    THING_DECIMAL(6, "cost", 2),
    THING_DECIMAL(7, "fee", 4),
    THING(8, "rate", VALUE_REAL, SCHEMA_NUMBER, FORMAT_NONE),
    THING(9, "level", VALUE_REAL, SCHEMA_NUMBER, FORMAT_NONE),
    THING(10, "active", VALUE_BOOLEAN, SCHEMA_BOOLEAN, FORMAT_NONE),
    THING(11, "hidden", VALUE_BOOLEAN, SCHEMA_BOOLEAN, FORMAT_NONE),
    THING(12, "since", VALUE_TIMESTAMP, SCHEMA_STRING, FORMAT_DATE_TIME),
    THING(13, "until", VALUE_TIMESTAMP, SCHEMA_STRING, FORMAT_DATE_TIME),
    THING(14, "day", VALUE_DATE, SCHEMA_STRING, FORMAT_DATE),
    THING(15, "eve", VALUE_DATE, SCHEMA_STRING, FORMAT_DATE),
    THING(16, "uid", VALUE_UUID, SCHEMA_STRING, FORMAT_UUID),
    THING(17, "other", VALUE_UUID, SCHEMA_STRING, FORMAT_UUID),
    THING(18, "digest", VALUE_BYTES, SCHEMA_STRING, FORMAT_NONE),
    {.name = TEXT_INIT("store"),
     .index = 19,
     .kind = VALUE_JSON,
     .schema = {.types = SCHEMA_OBJECT,
                .has_members = true,
                .members = thing_members,
                .member_count = sizeof thing_members / sizeof thing_members[0]}},
    THING(20, "tags", VALUE_JSON, SCHEMA_ARRAY, FORMAT_NONE),
    THING(21, "anything", VALUE_JSON, SCHEMA_ANY, FORMAT_NONE),
    {.name = TEXT_INIT("secret"),
     .index = 22,
     .kind = VALUE_TEXT,
     .write_only = true,
     .schema = THING_SCHEMA(SCHEMA_STRING, FORMAT_NONE)},
    {.name = TEXT_INIT("next"),
     .index = 23,
     .kind = VALUE_INTEGER,
     .schema = THING_SCHEMA(SCHEMA_INTEGER, FORMAT_NONE),
     .reference = {.resource = &things}},
};

enum { THING_COUNT = sizeof thing_properties / sizeof thing_properties[0], THING_NEXT = 23 };

// Constant in all but its type.
static struct resource things = {
    .name = TEXT_INIT("things"),
    .table = TEXT_INIT("things"),
    .actions = {[ACTION_READ] = true},
    .key = {.kind = KEY_INTEGER, .property = &thing_properties[0]},
    .properties = thing_properties,
    .property_count = THING_COUNT,
};

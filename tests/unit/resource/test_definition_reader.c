#include "resource/definition_reader.h"

#include "base/buffer.h"
#include "resource/expression.h"
#include "unit/allocation.h"
#include "unit/testing.h"

static struct arena arena;
static struct arena notes;

static int tear_down(void **state) {
    arena_free(&arena);
    arena_free(&notes);
    return 0;
}

// Reads a definition from memory that ends where its text does. What is wrong with it, a line each
// and without the file's name, is in the arena.
static struct resource *read_named(const char *file, struct text source, struct text *ret_notes) {
    struct diagnostics diagnostics;
    diagnostics_init(&diagnostics, &notes);
    char *bytes = test_malloc(source.size ? source.size : 1);
    memcpy(bytes, source.data, source.size);
    struct resource *resource =
        definition_read(&arena, text_from_string(file), text_of(bytes, source.size), &diagnostics);
    test_free(bytes);
    assert_true((resource != NULL) == diagnostics_clean(&diagnostics));
    struct buffer printed = {0};
    struct buffer stripped = {0};
    diagnostics_print(&diagnostics, &printed);
    struct text rest = buffer_text(&printed);
    struct text line;
    while (printed.size && text_split(&rest, '\n', &line) && line.size) {
        assert_true(text_starts_with(line, text_from_string(file)));
        buffer_append_text(&stripped, text_from(line, strlen(file) + 1));
        buffer_append_byte(&stripped, '\n');
    }
    *ret_notes = arena_copy(&notes, buffer_text(&stripped));
    buffer_free(&printed);
    buffer_free(&stripped);
    return resource;
}

static struct resource *read_well(const char *yaml) {
    struct text said;
    struct resource *resource =
        read_named("conf/resources/things.yaml", text_from_string(yaml), &said);
    if (!resource)
        print_error("%s\n%.*s", yaml, TEXT_ARGS(said));
    assert_non_null(resource);
    return resource;
}

// A definition, and all that is to be said about it.
static const struct {
    const char *yaml;
    const char *said;
} refusals[] = {
    {
        "",
        "1:1: a definition is a mapping that begins with `properties:` or another keyword; this is "
        "null\n",
    },
    {
        "[]\n",
        "1:1: a definition is a mapping that begins with `properties:` or another keyword; this is "
        "a list\n",
    },
    {
        "properties: {}\n",
        "1:13: `properties` is empty: a record has at least one\n",
    },
    {
        "properties: []\n",
        "1:13: `properties` must be a mapping; it is a list\n",
    },
    {
        "description: nothing else\n",
        "1:1: `properties` is missing: it says what a record has\n",
    },
    {
        "properties: {a: {type: string}\n",
        "2:1: did not find expected ',' or '}' while parsing a flow mapping that begins on line "
        "1\n",
    },
    {
        "properties: {a: {type: string}, a: {type: string}}\n",
        "1:33: the key \"a\" is repeated; it stands on line 1 already\n",
    },
    {
        "properties: {a: {type: string}}\n"
        "Properties: {b: {type: string}}\n",
        "2:1: unknown keyword `Properties`; did you mean `properties`?\n",
    },
    {
        "properties: {a: {type: string}}\n"
        "references: {b: things}\n",
        "2:1: `references` stands in the schema of the property that refers to something\n",
    },
    {
        "properties: {a: {type: string}}\n"
        "type: object\n"
        "wrong: 1\n",
        "2:1: `type` is not needed: a resource is always an object\n"
        "3:1: unknown keyword `wrong`; expected description, key, access, actions, required, "
        "properties, unique, indexes, checks, filters, lifecycle, transitions, require, "
        "events or rate_limit\n",
    },
    {
        "properties: {a: {type: string}}\n"
        "require: If-Match\n",
        "2:10: unknown requirement `If-Match`; did you mean `if-match`?\n",
    },
    {
        "properties: {a: {type: string}}\n"
        "actions: [create, read]\n"
        "require: if-match\n",
        "3:10: `if-match` is for replace, update, delete and transitions, none of which is there\n",
    },
    {
        "properties: {a: {type: string, minlength: 3}}\n",
        "1:32: unknown keyword `minlength`; did you mean `minLength`?\n",
    },
    {
        "properties: {a: {type: string, maxLenght: 3}}\n",
        "1:32: unknown keyword `maxLenght`; did you mean `maxLength`?\n",
    },
    {
        "properties: {a: {type: string, fancy: 3}}\n",
        "1:32: unknown keyword `fancy`; expected type, format, scale, description, minLength, "
        "maxLength, pattern, minimum, maximum, multipleOf, exclusiveMinimum, exclusiveMaximum, "
        "properties, required, items, minItems, maxItems, uniqueItems, enum, const, examples, "
        "default, default_expression, readOnly, writeOnly, was, references or on_delete\n",
    },
    {
        "properties: {a: {type: integer, references: stores, on_delete: cascade}}\n",
        "1:45: there is no resource `stores`\n",
    },
    {
        "properties: {a: {type: string, nullable: true, title: A}}\n",
        "1:32: `nullable` is not needed: a property that is not required may be null; inside an "
        "object, write type: [string, \"null\"]\n"
        "1:48: `title` is not supported by this version; `description` says what a property is\n",
    },
    {
        "properties: {count_of: {type: integer, minLength: 3}}\n",
        "1:40: `minLength` is for strings; `count_of` is an integer\n",
    },
    {
        "properties: {a: {type: string, minimum: 3}}\n",
        "1:32: `minimum` is for numbers; `a` is a string\n",
    },
    {
        "properties: {a: {type: string, items: {type: string}}}\n",
        "1:32: `items` is for arrays; `a` is a string\n",
    },
    {
        "properties: {a: {type: string, scale: 2}}\n",
        "1:32: `scale` goes with `format: decimal`; `a` has no such format\n",
    },
    {
        "properties: {a: {type: integer, scale: 2}}\n",
        "1:33: `scale` goes with `format: decimal`; `a` has no such format\n",
    },
    {
        "properties: {a: {type: integer, format: date}}\n",
        "1:33: `format` is for strings; `a` is an integer\n",
    },
    {
        "properties: {a: {type: string, format: dates}}\n",
        "1:40: unknown format `dates`; did you mean `date`?\n",
    },
    {
        "properties: {a: {type: string, format: decimal}}\n",
        "1:40: a decimal needs `scale`: how many digits it has behind the point, 0 to 18\n",
    },
    {
        "properties: {a: {type: string, format: decimal, scale: 19}}\n",
        "1:56: `scale` must be an integer from 0 to 18\n",
    },
    {
        "properties: {a: {type: string, format: decimal, scale: 2, minimum: \"0.001\"}}\n",
        "1:68: `minimum` must be a decimal number with at most 2 digits behind the point\n",
    },
    {
        "properties: {a: {type: string, format: decimal, scale: 2, maxLength: 5}}\n",
        "1:59: `maxLength` is for strings of no format, uri and email; the format of `a` settles "
        "its form\n",
    },
    {
        "properties: {a: {type: string, format: uuid, pattern: x}}\n",
        "1:46: `pattern` is for strings of no format, uri and email; the format of `a` settles its "
        "form\n",
    },
    {
        "properties: {a: {type: strin}}\n",
        "1:24: unknown type `strin`; did you mean `string`?\n",
    },
    {
        "properties: {a: {type: [string, integer]}}\n",
        "1:24: a property has one type, which may be in a list with \"null\"; only inside objects "
        "and arrays it may have several\n",
    },
    {
        "properties: {a: {type: []}}\n",
        "1:24: `type` is an empty list, so that nothing would fit\n",
    },
    {
        "properties: {a: {type: [string, string]}}\n",
        "1:33: the type `string` is there twice\n",
    },
    {
        "properties: {a: {type: \"null\"}}\n",
        "1:24: a property has one type, which may be in a list with \"null\"; only inside objects "
        "and arrays it may have several\n",
    },
    {
        "properties: {a: {type: {of: string}}}\n",
        "1:24: expected the name of a type; this is a mapping\n",
    },
    {
        "properties: {a: {}}\n",
        "1:17: `a` has no `type`: string, integer, number, boolean, object or array\n",
    },
    {
        "properties: {a: }\n",
        "1:17: `a` must be a mapping; it is null\n",
    },
    {
        "properties: {a: {type: string, minLength: 5, maxLength: 3}}\n",
        "1:57: `maxLength` is less than `minLength`, so that nothing would fit\n",
    },
    {
        "properties: {a: {type: string, minLength: -1}}\n",
        "1:43: `minLength` must be a whole number from 0 up\n",
    },
    {
        "properties: {a: {type: string, maxLength: \"3\"}}\n",
        "1:43: `maxLength` must be a whole number from 0 up\n",
    },
    {
        "properties: {a: {type: integer, minimum: 5, maximum: 3}}\n",
        "1:54: `maximum` leaves nothing above `minimum`, so that nothing would fit\n",
    },
    {
        "properties: {a: {type: number, exclusiveMinimum: 5, maximum: 5.0}}\n",
        "1:62: `maximum` leaves nothing above `exclusiveMinimum`, so that nothing would fit\n",
    },
    {
        "properties: {a: {type: integer, minimum: low}}\n",
        "1:42: `minimum` must be a number\n",
    },
    {
        "properties: {a: {type: number, maximum: .inf}}\n",
        "1:41: `maximum` must be a number\n",
    },
    {
        "properties: {a: {type: integer, multipleOf: 0}}\n",
        "1:45: `multipleOf` must be more than 0\n",
    },
    {
        "properties: {a: {type: array, minItems: 3, maxItems: 2}}\n",
        "1:54: `maxItems` is less than `minItems`, so that nothing would fit\n",
    },
    {
        "properties: {a: {type: array, uniqueItems: 1}}\n",
        "1:44: `uniqueItems` must be true or false; it is an integer\n",
    },
    {
        "properties: {a: {type: string, pattern: \"a(b\"}}\n",
        "1:41: `pattern` is no regular expression: missing closing parenthesis at character 4\n",
    },
    {
        "properties: {a: {type: string, enum: []}}\n",
        "1:38: `enum` is an empty list\n",
    },
    {
        "properties: {a: {type: string, enum: [x, 1, x]}}\n",
        "1:42: `enum` does not fit its schema: it must be a string or null; it is an integer\n"
        "1:45: `enum` has this value twice\n",
    },
    {
        "properties: {a: {type: string, maxLength: 2, enum: [xx, yyy]}}\n",
        "1:57: `enum` does not fit its schema: it must be at most 2 characters long; it has 3\n",
    },
    {
        "properties: {a: {type: integer, const: 1.5}}\n",
        "1:40: `const` does not fit its schema: it must be an integer or null; it is a number that "
        "is not whole or does not fit 64 bits\n",
    },
    {
        "properties: {a: {type: integer, minimum: 1, default: 0}}\n",
        "1:54: `default` does not fit its schema: it must be at least 1; it is 0\n",
    },
    {
        "properties: {a: {type: object, properties: {b: {type: integer}}, default: {b: x, c: "
        "1}}}\n",
        "1:75: `default` does not fit its schema: /b must be an integer; it is a string\n"
        "1:75: `default` does not fit its schema: /c is not a property of this object; it has b\n",
    },
    {
        "properties: {a: {type: string, default: null}}\n",
        "1:41: a default of null says nothing: leave it out\n",
    },
    {
        "properties: {a: {type: string, format: date-time, default: now, default_expression: "
        "now()}}\n",
        "1:60: `default` does not fit its schema: it must be a date and time as RFC 3339 has it, "
        "such as 2016-08-05T08:40:51.620Z; it is \"now\"\n"
        "1:85: `a` has a `default` and a `default_expression`; it can have one of them\n",
    },
    {
        "properties: {a: {type: string, format: date-time, default_expression: later()}}\n",
        "1:71: a default cannot depend on properties\n",
    },
    {
        "properties: {a: {type: string, maxLength: 3, examples: [abc, abcd]}}\n",
        "1:62: `examples` does not fit its schema: it must be at most 3 characters long; it has "
        "4\n",
    },
    {
        "required: [a]\n"
        "properties: {a: {type: [string, \"null\"]}}\n",
        "2:33: `a` is required, so it cannot be null\n",
    },
    {
        "required: [a, b, id, a]\n"
        "properties: {a: {type: string}}\n",
        "1:15: `b` is not one of the properties\n"
        "1:18: `id` is made by trestle and always there; take it out\n"
        "1:22: `a` is there twice\n",
    },
    {
        "properties: {a: {type: string, readOnly: true, writeOnly: true}}\n",
        "1:59: `a` is `readOnly` and `writeOnly`, so that nobody could use it\n",
    },
    {
        "required: [a]\n"
        "properties: {a: {type: string, readOnly: true}}\n",
        "2:42: `a` is `readOnly` and required, so it needs a `default`\n",
    },
    {
        "properties: {a: {type: object, properties: {b: {type: string, readOnly: true, default: "
        "x}}}}\n",
        "1:63: `readOnly` is for the properties of the resource, not for what is inside them\n"
        "1:79: `default` is for the properties of the resource, not for what is inside them: "
        "defaults apply to them alone\n",
    },
    {
        "properties: {a: {type: object, properties: {b: {type: integer, minLength: 1}}, required: "
        "[c]}}\n",
        "1:64: `minLength` is for strings; `a.b` is an integer\n"
        "1:91: `c` is not one of the properties of `a`\n",
    },
    {
        "properties: {a: {type: object, required: [c]}}\n",
        "1:32: `required` needs the `properties` that it names\n",
    },
    {
        "properties: {a: {type: array, items: {type: string, minimum: 1}}}\n",
        "1:53: `minimum` is for numbers; `a[]` is a string\n",
    },
    {
        "properties: {a: {type: array, items: [string]}}\n",
        "1:38: `a[]` must be a mapping; it is a list\n",
    },
    {
        "properties: {A: {type: string}, 1b: {type: string}, c-d: {type: string}}\n",
        "1:14: `A` cannot name a property: a name has small letters, digits and _, begins with a "
        "letter, and is at most 63 long\n"
        "1:33: `1b` cannot name a property: a name has small letters, digits and _, begins with a "
        "letter, and is at most 63 long\n"
        "1:53: `c-d` cannot name a property: a name has small letters, digits and _, begins with a "
        "letter, and is at most 63 long\n",
    },
    {
        "properties: {limit: {type: string}, xmin: {type: string}, and: {type: string}, id: {type: "
        "string}}\n",
        "1:14: `limit` cannot name a property: it is a query parameter of every list\n"
        "1:37: `xmin` cannot name a property: databases have a column of that name\n"
        "1:59: `and` cannot name a property: it is a word of expressions\n"
        "1:80: `id` is the key, which trestle makes; take it out of `properties`, or give the key "
        "another name\n",
    },
    {
        "properties: {a: {type: string, was: a}, b: {type: string, was: a}, c: {type: string, was: "
        "z}, d: {type: string, was: z}}\n",
        "1:37: `a` was never called `a`: that is what it is called\n"
        "1:64: `b` was never called `a`: that is another property\n"
        "1:118: `c` was called `z` too\n",
    },
    {
        "key: {id: serial}\n"
        "properties: {a: {type: string}}\n",
        "1:11: `key` must be {NAME: integer}, {NAME: uuid}, {NAME: sha256(PROPERTY)} or the name "
        "of a declared property\n",
    },
    {
        "key: {id: integer, b: uuid}\n"
        "properties: {a: {type: string}}\n",
        "1:6: `key` must be {NAME: integer}, {NAME: uuid}, {NAME: sha256(PROPERTY)} or the name of "
        "a declared property\n",
    },
    {
        "key: code\n"
        "properties: {a: {type: string}}\n",
        "1:6: `code` is not one of the properties; a key that trestle makes is written as {NAME: "
        "integer}, {NAME: uuid} or {NAME: sha256(PROPERTY)}\n",
    },
    {
        "key: a\n"
        "properties: {a: {type: string}}\n",
        "1:6: a key must be a bounded string; `a` has no `maxLength`\n",
    },
    {
        "key: a\n"
        "properties: {a: {type: integer}}\n",
        "1:6: a key must be a string or a UUID; `a` is neither\n",
    },
    {
        "key: a\n"
        "properties: {a: {type: string, maxLength: 1000, default: x, readOnly: true}}\n",
        "1:6: a key may take 2688 bytes at most; `a` may take 4008, at 4 a character\n"
        "1:6: a key that clients choose cannot be `readOnly`\n"
        "1:6: a key that clients choose has no default\n",
    },
    {
        "key: {digest: sha256(b)}\n"
        "properties: {a: {type: string}}\n",
        "1:15: sha256(…) needs a declared property; `b` is none\n",
    },
    {
        "key: {digest: sha256(a)}\n"
        "properties: {a: {type: string}}\n",
        "1:15: sha256(…) needs a property that is required and not `readOnly`; `a` is not\n",
    },
    {
        "key: {digest: sha256(a)}\n"
        "required: [a]\n"
        "properties: {a: {type: integer}}\n",
        "1:15: sha256(…) needs a string; `a` is none\n",
    },
    {
        "key: {digest: sha256(a)}\n"
        "actions: [create, replace, lst, create]\n"
        "required: [a]\n"
        "properties: {a: {type: string}}\n",
        "2:19: `replace` does not go with a key that is a digest: another content has another key\n"
        "2:28: unknown action `lst`; did you mean `list`?\n"
        "2:33: the action `create` is there twice\n",
    },
    {
        "key: {limit: uuid}\n"
        "properties: {a: {type: string}}\n",
        "1:7: `limit` cannot name a property: it is a query parameter of every list\n",
    },
    {
        "actions: []\n"
        "access: {read: publik, write: nobody, activate: key}\n"
        "properties: {a: {type: string}}\n",
        "1:10: `actions` is empty: nothing could be done\n"
        "2:16: unknown access `publik`; did you mean `public`?\n"
        "2:31: unknown access `nobody`; expected key or public\n"
        "2:39: unknown keyword `activate`; expected read or write\n",
    },
    {
        "access: public\n"
        "properties: {a: {type: string}}\n",
        "1:9: `access` must be a mapping; it is a string\n",
    },
    {
        "unique: [[a]]\n"
        "properties: {a: {type: string}}\n",
        "1:11: `a` needs a `maxLength` to be unique or indexed\n",
    },
    {
        "unique: [a, []]\n"
        "properties: {a: {type: string, maxLength: 10}}\n",
        "1:10: `unique` is a list of lists of properties, such as [[name, version]]\n"
        "1:13: `unique` is a list of lists of properties, such as [[name, version]]\n",
    },
    {
        "unique: [[a, b], [b, a], [id]]\n"
        "indexes: [[a, b], [b, a], [b, a], [zz], [a, a], [o]]\n"
        "properties: {a: {type: string, maxLength: 10}, b: {type: integer}, o: {type: object}}\n",
        "1:18: these are unique already\n"
        "1:26: the key is unique and indexed already\n"
        "2:11: these are indexed already, since they are unique\n"
        "2:27: these are indexed already\n"
        "2:36: `zz` is not one of the properties\n"
        "2:45: `a` is there twice\n"
        "2:50: `o` is an object or an array, which has no index\n",
    },
    {
        "indexes: [[a]]\n"
        "properties: {a: {type: string, maxLength: 700}}\n",
        "1:11: these may take 2832 bytes in an index, at 4 a character; PostgreSQL allows 2704: "
        "lessen `maxLength`\n",
    },
    {
        "lifecycle: {property: state}\n"
        "properties: {a: {type: string}}\n",
        "1:12: `lifecycle` needs `states`, a list of names\n",
    },
    {
        "lifecycle: {states: [A], start: A}\n"
        "properties: {a: {type: string}}\n",
        "1:12: `lifecycle` needs `property`, which holds the state\n"
        "1:26: unknown keyword `start`; expected property or states\n",
    },
    {
        "lifecycle: {property: state, states: [A, B, A, \"\"]}\n"
        "properties: {a: {type: string}}\n",
        "1:45: the state `A` is there twice\n"
        "1:48: a state must be a string of 1 to 63 characters\n",
    },
    {
        "lifecycle: {property: a, states: [A, B]}\n"
        "properties: {a: {type: integer}}\n",
        "2:17: `a` holds the lifecycle's state, so its type is string\n",
    },
    {
        "lifecycle: {property: a, states: [A, B]}\n"
        "properties: {a: {type: string, enum: [A], default: A}}\n",
        "2:32: `a` holds the lifecycle's state, which settles `enum`\n"
        "2:43: `a` holds the lifecycle's state, which settles `default`\n",
    },
    {
        "key: code\n"
        "lifecycle: {property: state, states: [A, B]}\n"
        "properties: {code: {type: string, maxLength: 601}}\n",
        "1:6: the key of a resource with a lifecycle has at most 600 characters, since its history "
        "is found by it\n",
    },
    {
        "lifecycle: {property: id, states: [A, B]}\n"
        "properties: {a: {type: string}}\n",
        "1:23: the key cannot hold the lifecycle's state\n",
    },
    {
        "properties: {a: {type: string}}\n"
        "transitions: {go: {from: [New], to: Done}}\n",
        "2:26: `from` is about states, which a `lifecycle` declares\n"
        "2:37: `to` is about states, which a `lifecycle` declares\n",
    },
    {
        "properties: {a: {type: string}}\n"
        "lifecycle: {property: state, states: [Created, Downloaded]}\n"
        "transitions:\n"
        "  Go: {to: Downloaded}\n"
        "  history: {to: Downloaded}\n"
        "  update: {to: Downloaded}\n"
        "  nothing: {from: [Created]}\n"
        "  list_it: [Created]\n"
        "  far: {from: Created, to: [Downloaded]}\n"
        "  none: {from: [], to: Downlaoded}\n"
        "  twice: {from: [Created, Lost, Created], to: Created}\n"
        "  more: {to: Created, retries: 3, timeout: 3s, access: key, wen: a = 'x'}\n"
        "  run: {to: Created}\n"
        "  words: {run: fetch, time_limit: 5, retries: -1, environment: [a]}\n"
        "  none_of_them: {run: []}\n"
        "  nested: {run: ['', [x]], time_limit: 31d, retries: 1.5,\n"
        "           environment: {1a: x, TRESTLE_DATA: x, a: {}, b: 2}}\n",
        "4:3: `Go` cannot name a transition: a name has small letters, digits and _, begins "
        "with a letter, and is at most 63 long\n"
        "5:3: `history` cannot name a transition: it means something else in paths and "
        "scopes\n"
        "6:3: `update` cannot name a transition: it means something else in paths and "
        "scopes\n"
        "7:12: it changes nothing: say `to`, `set` or `others`\n"
        "8:12: a transition is a mapping, such as {from: [New], to: Paid}; this is a list\n"
        "9:15: `from` is a list of states, such as [Created, Paid]\n"
        "9:28: expected the name of a state; this is a list\n"
        "10:16: `from` is a list of states, such as [Created, Paid]\n"
        "10:24: unknown state `Downlaoded`; did you mean `Downloaded`?\n"
        "11:27: unknown state `Lost`; expected Created or Downloaded\n"
        "11:33: the state `Created` is there twice\n"
        "12:32: `retries` goes with `run`, which is missing\n"
        "12:35: `timeout` is called `time_limit`\n"
        "12:48: `access` stands in the resource's `access`, under the transition's name\n"
        "12:61: unknown keyword `wen`; did you mean `when`?\n"
        "13:3: `run` cannot name a transition: it means something else in paths and scopes\n"
        "14:16: `run` is a command as a list of its words, such as [trestle, fetch], or the word "
        "agent\n"
        "14:35: `time_limit` is a time such as 90s, 10m or 2h, 1s to 30d\n"
        "14:47: `retries` is a whole number from 0 to 1000\n"
        "14:64: `environment` must be a mapping; it is a list\n"
        "15:23: `run` is a command as a list of its words, such as [trestle, fetch], or the word "
        "agent\n"
        "16:18: a command cannot be empty\n"
        "16:22: a word of a command must be a string; this is a list\n"
        "16:40: `time_limit` is a time such as 90s, 10m or 2h, 1s to 30d\n"
        "16:54: `retries` is a whole number from 0 to 1000\n"
        "17:26: `1a` cannot name a variable: a name has letters, digits and _, and begins "
        "with no digit\n"
        "17:33: `TRESTLE_DATA` is a variable that trestle itself sets\n"
        "17:53: a variable's value must be a string; this is a mapping\n",
    },
    {
        "key: code\n"
        "required: [code, amount]\n"
        "properties:\n"
        "  code: {type: string, maxLength: 9}\n"
        "  amount: {type: integer, maximum: 9}\n"
        "  name: {type: string}\n"
        "  at: {type: string, format: date-time}\n"
        "lifecycle: {property: state, states: [A, B]}\n"
        "transitions:\n"
        "  go:\n"
        "    when: amount > 'x'\n"
        "    set: {code: name, state: name, lost: 1, amount: 10, name: [a], at: name}\n"
        "  null_it: {set: {amount: null, name: null, at: now()}}\n"
        "  empty: {set: {}}\n"
        "  sum: {set: {amount: amount + name}, when: amount + 1 > 2}\n"
        "  those: {set: {amount: this.amount}, when: this.amount = 1}\n",
        "11:11: `amount` is an integer and cannot be compared with a string\n"
        "12:11: `code` is the key, which never changes\n"
        "12:23: `state` is the lifecycle's state, which `to` sets\n"
        "12:36: `lost` is not one of the properties\n"
        "12:53: `amount` does not fit its schema: it must be at most 9; it is 10\n"
        "12:63: `name` is set to an expression; this is a list\n"
        "12:72: `at` is a date-time and cannot be `name`, which is a string\n"
        "13:27: `amount` does not fit its schema: it is required\n"
        "14:16: `set` is empty\n"
        "15:23: `amount` is an integer and cannot be added to `name`, which is a string\n"
        "15:52: arithmetic is for `set` alone\n"
        "16:25: `this` is for `others` alone\n"
        "16:45: `this` is for `others` alone\n",
    },
    {
        "required: [amount]\n"
        "properties:\n"
        "  amount: {type: integer, maximum: 9}\n"
        "  name: {type: string}\n"
        "  kind: {type: string, enum: [x, y]}\n"
        "lifecycle: {property: state, states: [A, B]}\n"
        "transitions:\n"
        "  others: {others: {to: B, which: a}}\n"
        "  lazy: {others: {where: this.nme = name}}\n"
        "  bare: {others: {where: this = name, to: B}}\n"
        "  dotted: {others: {where: this. = name, to: B}}\n"
        "  rest: {others: {where: this.name = name, to: C, set: {amount: this.amount + "
        "'x'}}}\n"
        "  word: {set: {name: \"'ok'\", kind: \"'z'\"}}\n"
        "  list: {set: {name: 'plain'}}\n"
        "  nul: {when: null, set: {name: null}}\n",
        "8:20: `others` needs `where`: which other records change too\n"
        "8:28: unknown keyword `which`; expected where, to or set\n"
        "9:18: `others` needs `to` or `set`: what becomes of them\n"
        "9:31: `nme` is no property of `things`\n"
        "10:31: expected `.` after `this`, found `=`\n"
        "11:34: expected a property's name, found `=`\n"
        "12:48: unknown state `C`; did you mean `A`?\n"
        "12:65: `this.amount` is an integer and cannot be added to a string\n"
        "13:36: `kind` does not fit its schema: it must be one of \"x\", \"y\"; it is \"z\"\n"
        "14:3: `list` cannot name a transition: it means something else in paths and scopes\n"
        "14:23: `plain` is no property of `things`\n"
        "15:15: `when` must be a string; it is null\n",
    },
    {
        "access: {read: public, go: all, gone: key}\n"
        "properties: {a: {type: integer}}\n"
        "transitions: {go: {set: {a: 1}}}\n",
        "1:28: unknown access `all`; expected key or public\n"
        "1:33: unknown keyword `gone`; did you mean `go`?\n",
    },
    {
        "checks:\n"
        "  Positive: a > 0\n"
        "  bounded: a < 'x'\n"
        "  third: 5\n"
        "properties: {a: {type: integer}}\n",
        "2:3: `Positive` cannot name a check: a name has small letters, digits and _, begins with "
        "a letter, and is at most 63 long\n"
        "3:12: `a` is an integer and cannot be compared with a string\n"
        "4:10: `third` must be a string; it is an integer\n",
    },
    {
        "checks:\n"
        "  folded: >\n"
        "    a > 0 and\n"
        "    nothing = 1\n"
        "  quoted: \"nothing = 1\"\n"
        "properties: {a: {type: integer}}\n",
        "2:11: at character 11: `nothing` is no property of `things`\n"
        "5:12: `nothing` is no property of `things`\n",
    },
    {
        "checks:\n"
        "  spurious: a > 0\n"
        "properties: {a: {type: intger}}\n",
        "3:24: unknown type `intger`; did you mean `integer`?\n",
    },
    {
        "filters:\n"
        "  a: {x: a > 0}\n"
        "  limit: {x: a > 0}\n"
        "  good: {x: a >, y: b > 0}\n"
        "  empty: {}\n"
        "  word: a > 0\n"
        "properties: {a: {type: integer}}\n",
        "2:3: `a` cannot name a filter: it is a property, and so a parameter already\n"
        "3:3: `limit` cannot name a filter: it is a query parameter of every list\n"
        "4:16: expected a value, found the end\n"
        "4:21: `b` is no property of `things`\n"
        "5:10: a filter is a mapping of its values to expressions, such as {valid: price > 0}\n"
        "6:9: a filter is a mapping of its values to expressions, such as {valid: price > 0}\n",
    },
    {
        "description: [a]\n"
        "properties: {a: {type: string, description: 12}}\n",
        "1:14: `description` must be a string; it is a list\n"
        "2:45: `description` must be a string; it is an integer\n",
    },
    {
        "requird: [a]\n"
        "properties: {a: {type: string}}\n",
        "1:1: unknown keyword `requird`; did you mean `required`?\n",
    },
    {
        "properties: {ü: {type: string}, a: {type: string, \"ö\": 1, minlength: 2}}\n",
        "1:14: `ü` cannot name a property: a name has small letters, digits and _, begins with a "
        "letter, and is at most 63 long\n"
        "1:51: unknown keyword `ö`; expected type, format, scale, description, minLength, "
        "maxLength, pattern, minimum, maximum, multipleOf, exclusiveMinimum, exclusiveMaximum, "
        "properties, required, items, minItems, maxItems, uniqueItems, enum, const, examples, "
        "default, default_expression, readOnly, writeOnly, was, references or on_delete\n"
        "1:59: unknown keyword `minlength`; did you mean `minLength`?\n",
    },
    {
        "properties:\n"
        "  a:\n"
        "    type: string\n"
        "    default: \"abc\"\n"
        "    maxLength: 2\n"
        "  b: {type: number, default: 9007199254740993}\n",
        "4:14: `default` does not fit its schema: it must be at most 2 characters long; it has 3\n"
        "6:30: `default` does not fit its schema: it is stored as a double, which cannot hold the "
        "integer 9007199254740993; the nearest is 9007199254740992\n",
    },
    {
        "properties: {a: {type: number, default: .nan}}\n",
        "1:41: `.nan` is no number in JSON\n",
    },
    {
        "properties: {a: {type: string, minLength: 5, maxLength: 3, default: abcd, enum: [x]}}\n",
        "1:57: `maxLength` is less than `minLength`, so that nothing would fit\n",
    },
    {
        "properties: {a: {type: string, format: decimal, scale: 1, minimum: 0, default: -0.5, "
        "enum: [1.55]}}\n",
        "1:80: `default` does not fit its schema: it must be at least 0.0; it is -0.5\n"
        "1:93: `enum` does not fit its schema: it must be a decimal number such as 12.5, with at "
        "most 1 digit behind the point, up to 922337203685477580.7; it is \"1.55\"\n",
    },
    {
        "properties: {a: {type: object, properties: {d: {format: decimal, scale: 2}, e: {type: "
        "[string, number], minimum: 1, format: decimal, scale: 2}}}}\n",
        "1:57: a decimal is a string in JSON, so its type is string alone\n"
        "1:125: a decimal is a string in JSON, so its type is string alone\n",
    },
    {
        "properties: {a: {type: array, items: {type: object, properties: {b: {type: strng}}}}}\n",
        "1:76: unknown type `strng`; did you mean `string`?\n",
    },
    {
        "properties: {a: {type: string, enum: x}, b: {type: boolean, enum: [true, \"true\"]}}\n",
        "1:38: `enum` must be a list; it is a string\n"
        "1:74: `enum` does not fit its schema: it must be a boolean or null; it is a string\n",
    },
    {
        "properties: {a: {type: integer, minimum: 1, exclusiveMaximum: 1}, b: {type: integer, "
        "exclusiveMinimum: 2, exclusiveMaximum: 1}}\n",
        "1:63: `exclusiveMaximum` leaves nothing above `minimum`, so that nothing would fit\n"
        "1:125: `exclusiveMaximum` leaves nothing above `exclusiveMinimum`, so that nothing would "
        "fit\n",
    },
    {
        "properties: {a: {type: object, minItems: 1, properties: []}, b: {type: object, required: "
        "a, properties: {}}}\n",
        "1:32: `minItems` is for arrays; `a` is an object\n"
        "1:57: `properties` must be a mapping; it is a list\n"
        "1:90: `required` must be a list; it is a string\n",
    },
    {
        "properties: {a: {type: object, properties: {b: {type: string}}, required: [b, b, [b]]}}\n",
        "1:79: `b` is there twice\n"
        "1:82: expected the name of a property; this is a list\n",
    },
    {
        "properties: {a: {type: string, readOnly: yes, was: B}}\n",
        "1:42: `readOnly` must be true or false; it is a string\n"
        "1:52: `B` cannot name a property: a name has small letters, digits and _, begins with a "
        "letter, and is at most 63 long\n",
    },
    {
        "properties: {a: {type: string}, b: 5}\n"
        "required: [b]\n"
        "unique: [[b]]\n",
        "1:36: `b` must be a mapping; it is an integer\n",
    },
    {
        "key: [id]\n"
        "lifecycle: Created\n"
        "actions: list\n"
        "checks: [a]\n"
        "filters: [a]\n"
        "indexes: {a: b}\n"
        "required: a\n"
        "properties: {a: {type: string}}\n",
        "1:6: `key` must be {NAME: integer}, {NAME: uuid}, {NAME: sha256(PROPERTY)} or the name of "
        "a declared property\n"
        "2:12: `lifecycle` must be a mapping; it is a string\n"
        "3:10: `actions` must be a list; it is a string\n"
        "4:9: `checks` must be a mapping; it is a list\n"
        "5:10: `filters` must be a mapping; it is a list\n"
        "6:10: `indexes` must be a list; it is a mapping\n"
        "7:11: `required` must be a list; it is a string\n",
    },
    {
        "key: {id: 5}\n"
        "actions: [[list]]\n"
        "access: {read: [public]}\n"
        "indexes: [[[a]]]\n"
        "required: [[a]]\n"
        "lifecycle: {property: [a], states: A}\n"
        "properties: {a: {type: string}}\n",
        "1:11: `key` must be {NAME: integer}, {NAME: uuid}, {NAME: sha256(PROPERTY)} or the name "
        "of a declared property\n"
        "2:11: expected the name of an action; this is a list\n"
        "3:16: expected the name of an access; this is a list\n"
        "4:12: expected the name of a property; this is a list\n"
        "5:12: expected the name of a property; this is a list\n"
        "6:23: expected the name of a property; this is a list\n"
        "6:36: `states` must be a list of names, of which the first is where a record starts\n",
    },
    {
        "checks: {a: \"a is null and\\n b\"}\n"
        "properties: {a: {type: integer}}\n",
        "1:13: at character 16: `b` is no property of `things`\n",
    },
    {
        "checks: {low: 'a > ''0'''}\n"
        "properties: {a: {type: integer}}\n",
        "1:15: at character 1: `a` is an integer and cannot be compared with a string\n",
    },
    {
        "checks: {low: 'a > ü'}\n"
        "properties: {a: {type: integer}}\n",
        "1:20: `ü` has no meaning here\n",
    },
    {
        "unique: [[first, second]]\n"
        "properties: {first: {type: string, maxLength: 400}, second: {type: string, maxLength: "
        "300}}\n",
        "1:10: these may take 2840 bytes in an index, at 4 a character; PostgreSQL allows 2704: "
        "lessen `maxLength`\n",
    },
    {
        "indexes: [[kind], [id]]\n"
        "properties: {kind: {type: string, enum: [a, b]}}\n",
        "1:19: the key is unique and indexed already\n",
    },
    {
        "references: {a: b}\n"
        "type: object\n"
        "name: things\n"
        "properties: {a: {type: string}}\n",
        "1:1: `references` stands in the schema of the property that refers to something\n"
        "2:1: `type` is not needed: a resource is always an object\n"
        "3:1: `name` is not needed: the file's name is the resource's\n",
    },
    {
        "rate_limit: 5\n"
        "properties: {a: {type: string}}\n",
        "1:13: `rate_limit` must be a mapping; it is an integer\n",
    },
    {
        "transitions: {go: {set: {a: \"'x'\"}}}\n"
        "rate_limit: {read: 5, list: 5/s, write: 5 a second, go: 1/s burst 0}\n"
        "properties: {a: {type: string}}\n",
        "2:20: `read` must be a string; it is an integer\n"
        "2:23: unknown keyword `list`; expected read, write or go\n"
        "2:41: `5 a second` is no rate; write 100/s, 6000/m, 100/h or 1000/d, perhaps with ` burst "
        "200` behind it\n"
        "2:57: `1/s burst 0` is no rate; write 100/s, 6000/m, 100/h or 1000/d, perhaps with ` "
        "burst "
        "200` behind it\n",
    },
    {
        "events: yes\n"
        "properties: {a: {type: string}}\n",
        "1:9: `events` must be true or false; it is a string\n",
    },
    {
        "actions: [create, read, delete]\n"
        "events: true\n"
        "properties: {a: {type: string}}\n",
        "2:9: `events` need the actions `list` and `read`: they tell of every record\n",
    },
    {
        "actions: [list]\n"
        "events: true\n"
        "properties: {a: {type: string}}\n",
        "2:9: `events` need the actions `list` and `read`: they tell of every record\n",
    },
    {
        "key: a\n"
        "actions: [list]\n"
        "properties: {a: {type: string, format: date}}\n",
        "1:6: a key must be a string or a UUID; `a` is neither\n",
    },
    {
        "key: {a: sha256(a)}\n"
        "properties: {b: {type: string}}\n",
        "1:10: sha256(…) needs a declared property; `a` is none\n",
    },
    {
        "properties: {a: &x {type: string}}\n",
        "1:17: anchors are not allowed\n",
    },
    {
        "properties: {a: {type: string, pattern: 5}, b: {type: string, pattern: \"[z-a]\"}}\n",
        "1:41: `pattern` must be a string; it is an integer\n"
        "1:72: `pattern` is no regular expression: range out of order in character class at "
        "character 4\n",
    },
};

static void everything_wrong_is_told_with_its_place(void **state) {
    bool passed = true;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct text said;
        assert_null(read_named("things.yaml", text_from_string(refusals[i].yaml), &said));
        if (!text_is(said, refusals[i].said)) {
            print_error("%s\nsays\n%.*sand should say\n%s\n", refusals[i].yaml, TEXT_ARGS(said),
                        refusals[i].said);
            passed = false;
        }
    }
    assert_true(passed);
}

static void files_names_are_resources_names(void **state) {
    static const struct {
        const char *file;
        const char *resource; // NULL: refused
    } rows[] = {
        {"things.yaml", "things"},
        {"/etc/a.b/my_things2.yaml", "my_things2"},
        {"things", "things"},
        {"counters.yaml", "counters"},
        {"limit.yaml", "limit"},
        {"Things.yaml", NULL},
        {"my-things.yaml", NULL},
        {"things.yml", NULL},
        {"_things.yaml", NULL},
        {"2things.yaml", NULL},
        {".yaml", NULL},
        {"keys.yaml", NULL},
        {"operations.yaml", NULL},
        {"docs.yaml", NULL},
        {"redoc.yaml", NULL},
        {"console.yaml", NULL},
        {"metrics.yaml", NULL},
        {"openapi.yaml", NULL},
        {"healthz.yaml", NULL},
        {"readyz.yaml", NULL},
        {"trestle_meta.yaml", NULL},
        {"sqlite_master.yaml", NULL},
        {"pg_class.yaml", NULL},
        {"a23456789b123456789c123456789d123456789e123456789f123456789g123.yaml",
         "a23456789b123456789c123456789d123456789e123456789f123456789g123"},
        {"a23456789b123456789c123456789d123456789e123456789f123456789g1234.yaml", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct text said;
        struct resource *resource =
            read_named(rows[i].file, TEXT("properties: {a: {type: string}}"), &said);
        assert_true_for((resource != NULL) == (rows[i].resource != NULL), rows[i].file);
        if (resource) {
            assert_text_is(resource->name, rows[i].resource);
            assert_text_is(resource->file, rows[i].file);
        }
        definition_free(resource);
    }
}

static void places_count_characters_behind_any_line_break(void **state) {
    struct text said;
    struct text source = TEXT("\xEF\xBB\xBFproperties: {a: {type: integer}}\r\n"
                              "# \xC3\xBC\rchecks: {\"x\": \"'\xC3\xBC\xF0\x9F\x98\x80' = a\"}\n");
    assert_null(read_named("things.yaml", source, &said));
    assert_true_for(text_starts_with(said, TEXT("3:23: ")), said.data);
    source = TEXT("properties: {a: {type: integer}}\r\n"
                  "checks: {low: a >= 1 and  \xC3\xBC}\r\n");
    assert_null(read_named("things.yaml", source, &said));
    assert_true_for(text_starts_with(said, TEXT("2:27: ")), said.data);
}

static const char everything[] =
    "description: All there is.\n"
    "key: {uid: uuid}\n"
    "access: {read: public, write: key, age: public}\n"
    "actions: [list, create, read, replace, update, delete]\n"
    "required: [text, choice]\n"
    "properties:\n"
    "  text: {type: string, minLength: 1, maxLength: 100, pattern: \"^[a-z]\", examples: [abc]}\n"
    "  link: {type: string, format: uri, maxLength: 100, was: url}\n"
    "  mail: {type: [string, \"null\"], format: email, writeOnly: true}\n"
    "  choice: {type: string, enum: [small, large], default: small}\n"
    "  price: {type: string, format: decimal, scale: 2, minimum: 0.5, exclusiveMaximum: \"1000\"}\n"
    "  whole: {type: integer, minimum: -5, maximum: 10, multipleOf: 5, default: 5}\n"
    "  real: {type: number, exclusiveMinimum: 0, maximum: 1.5, multipleOf: 0.25, default: 1}\n"
    "  flag: {type: boolean, const: true, default: true}\n"
    "  made_at: {type: string, format: date-time, default_expression: now(), readOnly: true}\n"
    "  day: {type: string, format: date, default: 2020-02-29}\n"
    "  other: {type: string, format: uuid, default: 0190163D-8694-739B-AEA5-966C26F8AD91}\n"
    "  place:\n"
    "    description: Where.\n"
    "    type: object\n"
    "    required: [city]\n"
    "    properties:\n"
    "      city: {type: string}\n"
    "      zip: {type: [string, integer, \"null\"]}\n"
    "      any: {}\n"
    "    default: {city: Kyoto, any: [1, 2.5, {}]}\n"
    "  tags: {type: array, items: {type: string}, minItems: 1, maxItems: 3, uniqueItems: true}\n"
    "unique: [[text], [choice, whole]]\n"
    "indexes: [[whole, choice], [state, made_at]]\n"
    "checks: {cheap: price is null or price < 900}\n"
    "filters: {size: {big: choice = 'large', tiny: choice = 'small'}, kind: {x: flag}}\n"
    "lifecycle: {property: state, states: [New, Old]}\n"
    "transitions:\n"
    "  age:\n"
    "    description: Time goes by.\n"
    "    from: [New]\n"
    "    to: Old\n"
    "    when: whole > 0 and flag\n"
    "    set: {whole: whole - 5, mail: null}\n"
    "    others: {where: choice = this.choice, set: {price: this.price * 2}}\n"
    "  renew: {to: New}\n";

static struct resource *read_everything(void) {
    return read_well(everything);
}

static const struct property *get(const struct resource *resource, const char *name) {
    const struct property *property = resource_property(resource, text_from_string(name));
    assert_non_null(property);
    return property;
}

static void made_properties_stand_first_and_last(void **state) {
    struct resource *resource = read_everything();
    assert_int_equal(resource->property_count, 15);
    const struct property *key = &resource->properties[0];
    assert_text_is(key->name, "uid");
    assert_ptr_equal(resource->key.property, key);
    assert_int_equal(resource->key.kind, KEY_UUID);
    assert_int_equal(key->kind, VALUE_UUID);
    assert_true(key->required && key->read_only);
    assert_int_equal(key->line, 0);
    const struct property *last = &resource->properties[14];
    assert_text_is(last->name, "state");
    assert_ptr_equal(resource->lifecycle.property, last);
    assert_int_equal(last->kind, VALUE_TEXT);
    assert_true(last->required && last->read_only);
    assert_text_is(last->default_value.text, "New");
    assert_int_equal(json_array_size(last->schema.enumeration), 2);
    assert_int_equal(resource->lifecycle.state_count, 2);
    for (size_t i = 0; i < resource->property_count; i++)
        assert_int_equal(resource->properties[i].index, i);
    assert_text_is(resource->properties[1].name, "text");
    assert_text_is(resource->properties[1].prepared_name, "\"text\":");
    assert_int_equal(resource->properties[1].line, 7);
    assert_int_equal(resource->properties[1].column, 3);
    definition_free(resource);
}

static void every_type_has_its_column(void **state) {
    static const struct {
        const char *name;
        enum value_kind kind;
    } rows[] = {
        {"text", VALUE_TEXT},   {"link", VALUE_TEXT},     {"mail", VALUE_TEXT},
        {"choice", VALUE_TEXT}, {"price", VALUE_DECIMAL}, {"whole", VALUE_INTEGER},
        {"real", VALUE_REAL},   {"flag", VALUE_BOOLEAN},  {"made_at", VALUE_TIMESTAMP},
        {"day", VALUE_DATE},    {"other", VALUE_UUID},    {"place", VALUE_JSON},
        {"tags", VALUE_JSON},
    };
    struct resource *resource = read_everything();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_true_for(get(resource, rows[i].name)->kind == rows[i].kind, rows[i].name);
    assert_int_equal(get(resource, "price")->scale, 2);
    definition_free(resource);
}

static void every_keyword_is_kept(void **state) {
    struct resource *resource = read_everything();
    const struct schema *text = &get(resource, "text")->schema;
    assert_int_equal(text->types, SCHEMA_STRING);
    assert_int_equal(text->min_length, 1);
    assert_int_equal(text->max_length, 100);
    assert_non_null(text->pattern);
    assert_text_is(text->pattern_source, "^[a-z]");
    assert_int_equal(json_array_size(text->examples), 1);
    assert_text_is(get(resource, "link")->was, "url");
    assert_int_equal(get(resource, "link")->schema.types, SCHEMA_STRING | SCHEMA_NULL);
    assert_int_equal(get(resource, "link")->schema.format, FORMAT_URI);
    assert_true(get(resource, "mail")->write_only);
    assert_int_equal(json_array_size(get(resource, "choice")->schema.enumeration), 2);
    const struct schema *price = &get(resource, "price")->schema;
    assert_int_equal(price->minimum.kind, VALUE_DECIMAL);
    assert_int_equal(price->minimum.integer, 50);
    assert_int_equal(price->exclusive_maximum.integer, 100000);
    const struct schema *whole = &get(resource, "whole")->schema;
    assert_int_equal(whole->minimum.integer, -5);
    assert_int_equal(whole->maximum.integer, 10);
    assert_int_equal(whole->multiple_of.integer, 5);
    const struct schema *real = &get(resource, "real")->schema;
    assert_int_equal(real->exclusive_minimum.kind, VALUE_INTEGER);
    assert_true(real->maximum.kind == VALUE_REAL && real->maximum.real > 1.4);
    assert_int_equal(real->multiple_of.kind, VALUE_REAL);
    assert_true(json_is_true(get(resource, "flag")->schema.constant));
    assert_true(get(resource, "made_at")->read_only);
    assert_non_null(get(resource, "made_at")->default_expression);
    const struct schema *tags = &get(resource, "tags")->schema;
    assert_int_equal(tags->min_items, 1);
    assert_int_equal(tags->max_items, 3);
    assert_true(tags->unique_items);
    assert_int_equal(tags->items->types, SCHEMA_STRING);
    definition_free(resource);
}

static void objects_keep_their_members(void **state) {
    struct resource *resource = read_everything();
    const struct schema *place = &get(resource, "place")->schema;
    assert_text_is(place->description, "Where.");
    assert_true(place->has_members);
    assert_int_equal(place->member_count, 3);
    assert_text_is(place->members[0].name, "city");
    assert_true(place->members[0].required);
    assert_false(place->members[1].required);
    assert_int_equal(place->members[1].schema.types, SCHEMA_STRING | SCHEMA_INTEGER | SCHEMA_NULL);
    assert_int_equal(place->members[2].schema.types, SCHEMA_ANY);
    definition_free(resource);
}

static void defaults_are_in_stored_form(void **state) {
    struct resource *resource = read_everything();
    assert_text_is(get(resource, "choice")->default_value.text, "small");
    assert_int_equal(get(resource, "whole")->default_value.integer, 5);
    assert_int_equal(get(resource, "real")->default_value.kind, VALUE_REAL);
    assert_int_equal(get(resource, "flag")->default_value.kind, VALUE_BOOLEAN);
    assert_text_is(get(resource, "day")->default_value.text, "2020-02-29");
    assert_text_is(get(resource, "other")->default_value.text,
                   "0190163d-8694-739b-aea5-966c26f8ad91");
    assert_text_is(get(resource, "place")->default_value.text,
                   "{\"city\":\"Kyoto\",\"any\":[1,2.5,{}]}");
    assert_int_equal(get(resource, "text")->default_value.kind, VALUE_NULL);
    definition_free(resource);
}

static void groups_checks_and_filters_are_kept(void **state) {
    struct resource *resource = read_everything();
    assert_int_equal(resource->unique_count, 2);
    assert_int_equal(resource->unique[1].property_count, 2);
    assert_ptr_equal(resource->unique[1].properties[1], get(resource, "whole"));
    assert_int_equal(resource->index_count, 2);
    assert_ptr_equal(resource->indexes[1].properties[0], get(resource, "state"));
    assert_int_equal(resource->check_count, 1);
    assert_text_is(resource->checks[0].name, "cheap");
    assert_text_is(resource->checks[0].source, "price is null or price < 900");
    assert_non_null(resource->checks[0].expression);
    const struct named_filter *filter = resource_filter(resource, TEXT("size"));
    assert_non_null(filter);
    assert_int_equal(filter->value_count, 2);
    assert_text_is(filter->values[1].name, "tiny");
    assert_null(resource_filter(resource, TEXT("big")));
    assert_null(resource_property(resource, TEXT("size")));
    definition_free(resource);
}

static void access_and_actions(void **state) {
    struct resource *resource = read_everything();
    assert_int_equal(resource_access(resource, ACTION_LIST), ACCESS_PUBLIC);
    assert_int_equal(resource_access(resource, ACTION_READ), ACCESS_PUBLIC);
    assert_int_equal(resource_access(resource, ACTION_CREATE), ACCESS_KEY);
    assert_int_equal(resource_access(resource, ACTION_DELETE), ACCESS_KEY);
    definition_free(resource);
    resource = read_well("actions: [create, read]\nproperties: {a: {type: string}}\n");
    assert_int_equal(resource_access(resource, ACTION_LIST), ACCESS_KEY);
    assert_true(resource->actions[ACTION_CREATE] && resource->actions[ACTION_READ]);
    assert_false(resource->actions[ACTION_LIST] || resource->actions[ACTION_DELETE]);
    definition_free(resource);
    assert_string_equal(action_name(ACTION_REPLACE), "replace");
}

static void rate_limits(void **state) {
    struct resource *resource = read_well(
        "access: {go: public}\nrate_limit: {read: 6000/m, write: 10/s burst 50, go: 1/h}\n"
        "properties: {a: {type: string}}\n"
        "transitions: {go: {set: {a: \"'x'\"}}, stay: {set: {a: \"'y'\"}}}\n");
    assert_int_equal(resource->read_limit.rate.burst, 6000);
    assert_text_is(resource->read_limit.name, "things:read");
    assert_text_is(resource->write_limit.policy, "\"things:write\";q=50;w=5");
    assert_text_is(resource->transitions[0].rate_limit.name, "things:go");
    assert_int_equal(resource->transitions[0].rate_limit.rate.window, 3600);
    assert_false(rate_is_limit(&resource->transitions[1].rate_limit.rate));
    definition_free(resource);
    resource = read_well("properties: {a: {type: string}}\n");
    assert_false(rate_is_limit(&resource->read_limit.rate));
    assert_false(rate_is_limit(&resource->write_limit.rate));
    definition_free(resource);
}

// What is part of the program may say what others may not.
static void built_in_definitions(void **state) {
    static const char yaml[] = "table: trestle_things\naccess: {read: admin, write: admin}\n"
                               "properties: {name: {type: string}, digest: {type: string, "
                               "readOnly: true, writeOnly: true}}\n";
    struct diagnostics diagnostics;
    diagnostics_init(&diagnostics, &notes);
    struct resource *resource =
        definition_read_built_in(&arena, TEXT("keys.yaml"), text_from_string(yaml), &diagnostics);
    assert_non_null(resource);
    assert_true(diagnostics_clean(&diagnostics));
    assert_true(resource->built_in);
    assert_text_is(resource->name, "keys");
    assert_text_is(resource->table, "trestle_things");
    assert_int_equal(resource_access(resource, ACTION_LIST), ACCESS_ADMIN);
    assert_int_equal(resource_access(resource, ACTION_CREATE), ACCESS_ADMIN);
    assert_true(property_is_hidden(resource_property(resource, TEXT("digest"))));
    assert_false(property_is_hidden(resource_property(resource, TEXT("name"))));
    definition_free(resource);

    struct text said;
    assert_null(read_named("things.yaml", text_from_string(yaml), &said));
    assert_non_null(strstr(said.data, "1:1: unknown keyword `table`"));
    assert_non_null(strstr(said.data, "2:16: unknown access `admin`"));
    assert_non_null(strstr(said.data, "2:30: unknown access `admin`"));
    assert_non_null(strstr(said.data, "3:86: `digest` is `readOnly` and `writeOnly`"));
}

static void keys_of_every_kind(void **state) {
    struct resource *resource = read_well("properties: {a: {type: string}}\n");
    assert_int_equal(resource->key.kind, KEY_INTEGER);
    assert_text_is(resource->key.property->name, "id");
    assert_int_equal(resource->key.property->kind, VALUE_INTEGER);
    definition_free(resource);

    resource = read_well("key: {digest: sha256( a )}\nrequired: [a]\n"
                         "properties: {a: {type: string}}\n");
    assert_int_equal(resource->key.kind, KEY_SHA256);
    assert_ptr_equal(resource->key.source, get(resource, "a"));
    assert_int_equal(resource->key.property->kind, VALUE_BYTES);
    assert_true(resource->actions[ACTION_LIST] && resource->actions[ACTION_DELETE]);
    assert_false(resource->actions[ACTION_REPLACE] || resource->actions[ACTION_UPDATE]);
    definition_free(resource);

    resource = read_well("key: code\nproperties: {a: {type: string}, "
                         "code: {type: string, maxLength: 20}}\n");
    assert_int_equal(resource->key.kind, KEY_PROPERTY);
    assert_ptr_equal(resource->key.property, &resource->properties[1]);
    assert_true(resource->key.property->required);
    assert_int_equal(resource->key.property->schema.min_length, 1);
    definition_free(resource);
}

static void transitions_are_kept(void **state) {
    struct resource *resource = read_everything();
    assert_int_equal(resource->transition_count, 2);
    const struct transition *age = resource_transition(resource, TEXT("age"));
    assert_ptr_equal(age, &resource->transitions[0]);
    assert_text_is(age->description, "Time goes by.");
    assert_int_equal(age->access, ACCESS_PUBLIC);
    assert_int_equal(age->from_count, 1);
    assert_ptr_equal(age->from[0], &resource->lifecycle.states[0]);
    assert_ptr_equal(age->effect.to, &resource->lifecycle.states[1]);
    assert_text_is(age->when_source, "whole > 0 and flag");
    assert_int_equal(age->when->kind, EXPRESSION_AND);
    assert_int_equal(age->guard->operand_count, 3);
    assert_int_equal(age->guard->operands[0]->kind, EXPRESSION_IN);
    assert_int_equal(age->effect.set_count, 2);
    assert_ptr_equal(age->effect.set[0].property, get(resource, "whole"));
    assert_text_is(age->effect.set[0].source, "whole - 5");
    assert_text_is(age->others_where_source, "choice = this.choice");
    assert_null(age->others.to);
    assert_int_equal(age->others.set_count, 1);
    // Only what an effect changes can break a check.
    assert_int_equal(age->effect.check_count, 0);
    assert_int_equal(age->others.check_count, 1);
    const struct transition *renew = resource_transition(resource, TEXT("renew"));
    assert_int_equal(renew->access, ACCESS_KEY);
    assert_null(renew->guard);
    assert_null(renew->others_where);
    assert_null(resource_transition(resource, TEXT("old")));
    assert_true(resource->actions[ACTION_TRANSITION]);
    definition_free(resource);
}

static void only_what_can_change_has_versions(void **state) {
    static const struct {
        const char *yaml;
        bool versioned;
    } rows[] = {
        {"", true},
        {"actions: [create, read, list, delete]\n", false},
        {"actions: [read, update]\n", true},
        {"actions: [replace]\n", true},
        {"key: {digest: sha256(a)}\n", false},
        // What is deleted may come again under its key, and be another.
        {"key: a\nactions: [create, delete]\n", true},
        {"key: a\nactions: [create, read]\n", false},
        {"key: {digest: sha256(b)}\n", true},
        {"key: {digest: sha256(b)}\nactions: [create, read]\n", false},
        {"key: {id: uuid}\nactions: [create, delete]\n", false},
        {"actions: [read]\nlifecycle: {property: state, states: [New]}\n", true},
        {"actions: [read]\ntransitions: {empty: {set: {a: \"''\"}}}\n", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct text yaml =
            arena_format(&arena,
                         strstr(rows[i].yaml, "sha256(a)")
                             ? "%srequired: [a]\nproperties: {a: {type: string}}\n"
                             : "%srequired: [b]\nproperties: {a: {type: string, maxLength: 9}, "
                               "b: {type: string}}\n",
                         rows[i].yaml);
        struct resource *resource = read_well(yaml.data);
        assert_true_for(resource->versioned == rows[i].versioned, rows[i].yaml);
        definition_free(resource);
    }
}

static void a_declared_state_keeps_its_place(void **state) {
    struct resource *resource = read_well(
        "lifecycle: {property: state, states: [New, Old]}\n"
        "properties: {state: {type: string, description: What it is.}, a: {type: string}}\n");
    const struct property *property = &resource->properties[1];
    assert_ptr_equal(resource->lifecycle.property, property);
    assert_int_equal(resource->property_count, 3);
    assert_text_is(property->schema.description, "What it is.");
    assert_true(property->required && property->read_only);
    assert_text_is(property->default_value.text, "New");
    assert_int_equal(property->line, 2);
    definition_free(resource);
}

static void limits_are_where_they_are_said_to_be(void **state) {
    struct buffer yaml = {0};
    buffer_append_string(&yaml, "properties:\n");
    for (int i = 0; i < RESOURCE_MAX_PROPERTIES - 3; i++)
        buffer_format(&yaml, "  p%d: {type: boolean}\n", i);
    struct text said;
    struct resource *resource = read_named("things.yaml", buffer_text(&yaml), &said);
    assert_non_null(resource);
    assert_int_equal(resource->property_count, RESOURCE_MAX_PROPERTIES - 2);
    definition_free(resource);
    buffer_append_string(&yaml, "  q: {type: boolean}\n");
    assert_null(read_named("things.yaml", buffer_text(&yaml), &said));
    assert_text_is(said, "2:3: there are 255 properties, and 254 at most\n");
    buffer_free(&yaml);

    definition_free(read_well("unique: [[a]]\nproperties: {a: {type: string, maxLength: 668}}\n"));
    assert_null(read_named("things.yaml",
                           TEXT("unique: [[a]]\n"
                                "properties: {a: {type: string, maxLength: 669}}\n"),
                           &said));
}

static void names_are_checked(void **state) {
    assert_true(definition_name_is_valid(TEXT("a")));
    assert_true(definition_name_is_valid(TEXT("a_1")));
    assert_false(definition_name_is_valid(TEXT("")));
    assert_false(definition_name_is_valid((struct text){NULL, 0}));
    assert_false(definition_name_is_valid(TEXT("_a")));
    assert_false(definition_name_is_valid(TEXT("1a")));
    assert_false(definition_name_is_valid(TEXT("aB")));
    assert_false(definition_name_is_valid(TEXT("a-b")));
    assert_false(definition_name_is_valid(TEXT("a\0b")));
    assert_false(definition_name_is_valid(TEXT("\xC3\xA4")));
}

static void words_of_expressions_name_no_property(void **state) {
    static const char *const words[] = {"and",  "or",    "not", "in",       "is",  "null",
                                        "true", "false", "now", "contains", "this"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct text said;
        struct text yaml =
            arena_format(&arena, "properties: {a: {type: string}, %s: {type: string}}", words[i]);
        assert_null(read_named("things.yaml", yaml, &said));
        assert_non_null(strstr(said.data, "1:33: `"));
        assert_non_null(strstr(said.data, "it is a word of expressions"));
    }
}

static void no_memory_is_survived(void **state) {
    for (ALLOCATION_FAILURES(nth)) {
        struct arena own = {0};
        struct arena own_notes = {0};
        struct diagnostics diagnostics;
        diagnostics_init(&diagnostics, &own_notes);
        struct resource *resource =
            definition_read(&own, TEXT("things.yaml"), text_from_string(everything), &diagnostics);
        bool failed = allocation_allow();
        assert_true((resource != NULL) == diagnostics_clean(&diagnostics));
        assert_true(failed || resource);
        definition_free(resource);
        arena_free(&own);
        arena_free(&own_notes);
        if (!failed)
            break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(everything_wrong_is_told_with_its_place, tear_down),
        cmocka_unit_test_teardown(files_names_are_resources_names, tear_down),
        cmocka_unit_test_teardown(places_count_characters_behind_any_line_break, tear_down),
        cmocka_unit_test_teardown(made_properties_stand_first_and_last, tear_down),
        cmocka_unit_test_teardown(every_type_has_its_column, tear_down),
        cmocka_unit_test_teardown(every_keyword_is_kept, tear_down),
        cmocka_unit_test_teardown(objects_keep_their_members, tear_down),
        cmocka_unit_test_teardown(defaults_are_in_stored_form, tear_down),
        cmocka_unit_test_teardown(groups_checks_and_filters_are_kept, tear_down),
        cmocka_unit_test_teardown(access_and_actions, tear_down),
        cmocka_unit_test_teardown(rate_limits, tear_down),
        cmocka_unit_test_teardown(built_in_definitions, tear_down),
        cmocka_unit_test_teardown(transitions_are_kept, tear_down),
        cmocka_unit_test_teardown(keys_of_every_kind, tear_down),
        cmocka_unit_test_teardown(only_what_can_change_has_versions, tear_down),
        cmocka_unit_test_teardown(a_declared_state_keeps_its_place, tear_down),
        cmocka_unit_test_teardown(limits_are_where_they_are_said_to_be, tear_down),
        cmocka_unit_test_teardown(names_are_checked, tear_down),
        cmocka_unit_test_teardown(words_of_expressions_name_no_property, tear_down),
        cmocka_unit_test_teardown(no_memory_is_survived, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

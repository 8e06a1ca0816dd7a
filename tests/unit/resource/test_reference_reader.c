// References between definitions: what they make of properties, and what is said of those that
// cannot be.
#include "base/buffer.h"
#include "resource/catalogue.h"
#include "resource/expression.h"
#include "unit/allocation.h"
#include "unit/testing.h"

struct scene {
    struct arena arena;
    struct diagnostics diagnostics;
    struct catalogue *catalogue;
};

enum { FILES = 8 };

// Reads files, "NAME\nSOURCE" each; NULL ends them.
static void read_all(struct scene *scene, const char *const *files) {
    struct text sources[FILES][2];
    size_t count = 0;
    *scene = (struct scene){0};
    diagnostics_init(&scene->diagnostics, &scene->arena);
    for (; files[count]; count++) {
        struct text rest = text_from_string(files[count]);
        assert_true(count < FILES && text_split(&rest, '\n', &sources[count][0]));
        sources[count][1] = rest;
    }
    scene->catalogue = catalogue_make((const struct text(*)[2])sources, count,
                                      dialect_of(STORE_SQLITE), &scene->diagnostics);
}

static void leave(struct scene *scene) {
    catalogue_release(scene->catalogue);
    arena_free(&scene->arena);
}

static struct text said(struct scene *scene) {
    struct buffer out = {0};
    diagnostics_print(&scene->diagnostics, &out);
    struct text text = arena_copy(&scene->arena, buffer_text(&out));
    buffer_free(&out);
    return text;
}

static void read_well(struct scene *scene, const char *const *files) {
    read_all(scene, files);
    if (!scene->catalogue)
        print_error("%.*s", TEXT_ARGS(said(scene)));
    assert_non_null(scene->catalogue);
}

static const struct resource *resource(const struct scene *scene, const char *name) {
    const struct plan *plan = catalogue_plan(scene->catalogue, text_from_string(name));
    assert_non_null(plan);
    return plan->resource;
}

static const struct property *property(const struct scene *scene, const char *of,
                                       const char *name) {
    const struct property *found = resource_property(resource(scene, of), text_from_string(name));
    assert_non_null(found);
    return found;
}

// One resource with each kind of key.
#define STORES "stores.yaml\nproperties: {name: {type: string}}\n"
#define USERS "users.yaml\nkey: {id: uuid}\nproperties: {name: {type: string}}\n"
#define TEXTS                                                                                      \
    "texts.yaml\nkey: {digest: sha256(body)}\nrequired: [body]\n"                                  \
    "properties: {body: {type: string}}\n"
#define LANDS "lands.yaml\nkey: code\nproperties: {code: {type: string, maxLength: 2}}\n"

static void a_property_becomes_what_the_key_is(void **state) {
    static const char *const files[] = {
        STORES,
        USERS,
        TEXTS,
        LANDS,
        "things.yaml\n"
        "required: [store]\n"
        "properties:\n"
        "  store: {type: integer, references: stores, on_delete: cascade}\n"
        "  user: {type: string, format: uuid, references: users, on_delete: set-null}\n"
        "  text: {type: [string, \"null\"], references: texts, on_delete: restrict}\n"
        "  land: {type: string, references: lands}\n"
        "  near: {type: string, references: lands, maxLength: 1}\n"
        "  up: {type: integer, references: things}\n",
        NULL};
    static const struct {
        const char *name;
        const char *refers;
        enum value_kind kind;
        int64_t max_length;
        enum on_delete on_delete;
    } rows[] = {
        {"store", "stores", VALUE_INTEGER, -1, ON_DELETE_CASCADE},
        {"user", "users", VALUE_UUID, -1, ON_DELETE_SET_NULL},
        {"text", "texts", VALUE_BYTES, 64, ON_DELETE_RESTRICT},
        {"land", "lands", VALUE_TEXT, 2, ON_DELETE_RESTRICT},
        {"near", "lands", VALUE_TEXT, 1, ON_DELETE_RESTRICT},
        {"up", "things", VALUE_INTEGER, -1, ON_DELETE_RESTRICT},
    };
    struct scene scene;
    read_well(&scene, files);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct property *found = property(&scene, "things", rows[i].name);
        assert_ptr_equal(found->reference.resource, resource(&scene, rows[i].refers));
        assert_int_equal(found->reference.on_delete, rows[i].on_delete);
        assert_int_equal(found->kind, rows[i].kind);
        assert_int_equal(found->schema.max_length, rows[i].max_length);
    }
    assert_null(property(&scene, "things", "id")->reference.resource);
    leave(&scene);
}

static void each_reference_has_an_index(void **state) {
    static const char *const files[] = {
        STORES, LANDS,
        "things.yaml\n"
        "properties:\n"
        "  a: {type: integer, references: stores}\n"
        "  b: {type: integer, references: stores}\n"
        "  c: {type: integer, references: stores}\n"
        "  d: {type: integer, references: stores}\n"
        "unique: [[a, d]]\n"
        "indexes: [[b, d], [c]]\n",
        "flags.yaml\nkey: land\n"
        "properties: {land: {type: string, maxLength: 2, references: lands}}\n",
        NULL};
    struct scene scene;
    read_well(&scene, files);
    const struct resource *things = resource(&scene, "things");
    assert_int_equal(things->index_count, 3);
    assert_int_equal(things->indexes[2].property_count, 1);
    assert_ptr_equal(things->indexes[2].properties[0], property(&scene, "things", "d"));
    assert_int_equal(resource(&scene, "flags")->index_count, 0);
    leave(&scene);
}

static void what_refers_comes_later(void **state) {
    static const char *const files[] = {
        "a.yaml\nproperties: {b: {type: integer, references: b}}\n",
        "b.yaml\nproperties: {c: {type: integer, references: c}}\n",
        "c.yaml\nproperties: {d: {type: integer, references: d}, c: {type: integer, references: "
        "c}}\n",
        "d.yaml\nproperties: {c: {type: integer, references: c}, e: {type: integer, references: "
        "e}}\n",
        "e.yaml\nproperties: {x: {type: integer}}\n",
        NULL};
    struct scene scene;
    read_well(&scene, files);
    assert_int_equal(resource(&scene, "e")->rank, 0);
    assert_int_equal(resource(&scene, "d")->rank, 1);
    assert_int_equal(resource(&scene, "c")->rank, 2);
    assert_int_equal(resource(&scene, "b")->rank, 3);
    assert_int_equal(resource(&scene, "a")->rank, 4);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(scene.catalogue->ranked[i]->rank, i);
    static const struct {
        const char *of;
        const char *name;
        bool forward;
    } rows[] = {
        {"a", "b", false}, {"b", "c", false}, {"c", "d", false},  {"c", "c", true},
        {"d", "c", true},  {"d", "e", false}, {"a", "id", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(reference_is_forward(resource(&scene, rows[i].of),
                                              property(&scene, rows[i].of, rows[i].name)),
                         rows[i].forward);
    const struct resource *c = resource(&scene, "c");
    assert_int_equal(c->referrer_count, 3);
    assert_text_is(c->referrers[0].resource->name, "b");
    assert_text_is(c->referrers[1].property->name, "c");
    assert_text_is(c->referrers[2].resource->name, "d");
    leave(&scene);
}

// A record whose reference may become null changes by that.
static void what_may_become_null_has_versions(void **state) {
    static const char *const files[] = {
        STORES,
        "a.yaml\nactions: [create, read]\n"
        "properties: {s: {type: integer, references: stores, on_delete: set-null}}\n",
        "b.yaml\nactions: [create, read]\n"
        "properties: {s: {type: integer, references: stores, on_delete: cascade}}\n",
        "c.yaml\nactions: [create, read]\nproperties: {s: {type: integer, references: stores}}\n",
        NULL};
    struct scene scene;
    read_well(&scene, files);
    assert_true(resource(&scene, "a")->versioned);
    assert_false(resource(&scene, "b")->versioned);
    assert_false(resource(&scene, "c")->versioned);
    assert_false(resource_is_immutable(resource(&scene, "a")));
    assert_false(resource_is_immutable(resource(&scene, "b")));
    assert_true(resource_is_immutable(resource(&scene, "c")));
    assert_false(resource_is_immutable(resource(&scene, "stores")));
    leave(&scene);
}

static const struct {
    const char *files[FILES];
    const char *said;
} refusals[] = {
    {{STORES, "a.yaml\nproperties:\n"
              "  b: {type: integer, references: store, on_delete: none}\n"
              "  c: {type: integer, references: [stores]}\n"
              "  d: {type: integer, references: Stores}\n"
              "  e: {type: integer, on_delete: cascade}\n"
              "  f: {type: object, properties: {g: {type: integer, references: stores}}}\n"},
     "a.yaml:2:34: there is no resource `store`; did you mean `stores`?\n"
     "a.yaml:2:52: unknown action `none`; expected restrict, cascade or set-null\n"
     "a.yaml:3:34: expected the name of a resource; this is a list\n"
     "a.yaml:4:34: `Stores` cannot name a resource: a name has small letters, digits and _, begins "
     "with a letter, and is at most 63 long\n"
     "a.yaml:5:33: `on_delete` goes with `references`, which `e` has not\n"
     "a.yaml:6:53: `references` is for the properties of the resource, not for what is inside "
     "them\n"},
    {{STORES, USERS, TEXTS, LANDS,
      "a.yaml\nrequired: [i]\nproperties:\n"
      "  a: {type: string, references: stores}\n"
      "  b: {type: string, references: users}\n"
      "  c: {type: string, format: uri, references: texts}\n"
      "  d: {type: integer, references: lands}\n"
      "  e: {type: string, references: texts, pattern: \"^a\", maxLength: 64}\n"
      "  f: {type: number, references: stores}\n"
      "  g: {type: string, references: texts, examples: [x]}\n"
      "  h: {type: array, references: stores}\n"
      "  i: {type: integer, references: stores, on_delete: set-null}\n"},
     "a.yaml:3:33: the key of `stores` is an integer, so `type: integer` is what `a` needs\n"
     "a.yaml:4:33: the key of `users` is a UUID, so `type: string` and `format: uuid` is what `b` "
     "needs\n"
     "a.yaml:5:46: the key of `texts` is a digest, so `type: string` without a format is what `c` "
     "needs\n"
     "a.yaml:6:34: the key of `lands` is a string, so `type: string` is what `d` needs\n"
     "a.yaml:7:40: `e` refers to a digest of 64 hexadecimal digits; take `pattern` out\n"
     "a.yaml:7:55: `e` refers to a digest of 64 hexadecimal digits; take `maxLength` out\n"
     "a.yaml:8:33: the key of `stores` is an integer, so `type: integer` is what `f` needs\n"
     "a.yaml:9:50: `examples` does not fit its schema: it must be at least 64 characters long; it "
     "has 1\n"
     "a.yaml:10:32: the key of `stores` is an integer, so `type: integer` is what `h` needs\n"
     "a.yaml:11:53: `i` is required, so it cannot become null\n"},
    {{STORES, "a.yaml\nproperties:\n  s: {type: integer, references: stores}\n"
              "checks: {c: s.name = 'x'}\nfilters: {f: {g: s.none = 5, h: s.name.x = 1}}\n"},
     "a.yaml:3:13: `s` refers to a record of `stores`, into which filters alone can look\n"
     "a.yaml:4:20: `none` is no property of `stores`\n"
     "a.yaml:4:40: `s.name` is no object and has no members\n"},
    // What is wrong with a definition is not said again of those that refer to it.
    {{"a.yaml\nproperties: {z: {type: integer, references: z}}\nfilters: {f: {g: z.y = 5}}\n",
      "z.yaml\nproperties: {y: {type: string, references: nowhere}}\n"},
     "z.yaml:1:44: there is no resource `nowhere`\n"},
    {{"stores.yaml\nkey: code\nproperties: {code: {type: strin}, name: {type: string}}\n",
      "a.yaml\nproperties: {a: {type: string, references: stores}}\nunique: [[a]]\n"
      "checks: {c: a > 5}\nfilters: {f: {g: a.name = 5}}\n"},
     "stores.yaml:2:27: unknown type `strin`; did you mean `string`?\n"},
    {{"stores.yaml\nproperties: [\n",
      "a.yaml\nproperties: {a: {type: integer, references: stores}}\nunique: [[a]]\n"},
     "stores.yaml:2:1: did not find expected node content while parsing a flow node\n"},
    {{"stores.yaml\nproperties: {a: {type: integer}}\nunique: [[b]]\n",
      "a.yaml\nproperties: {a: {type: integer, references: shops}}\nchecks: {c: b > 5}\n"},
     "a.yaml:1:45: there is no resource `shops`\n"
     "a.yaml:2:13: `b` is no property of `a`\n"
     "stores.yaml:2:11: `b` is not one of the properties\n"},
    {{TEXTS, "a.yaml\nkey: a\nproperties: {a: {type: string, maxLength: 9, references: texts}}\n",
      "b.yaml\nkey: {id: sha256(a)}\nrequired: [a]\n"
      "properties: {a: {type: string, references: texts}}\n"},
     "a.yaml:2:32: `a` refers to a digest of 64 hexadecimal digits; take `maxLength` out\n"
     "a.yaml:2:58: neither a key nor what it is a digest of can refer to a digest\n"
     "b.yaml:3:44: neither a key nor what it is a digest of can refer to a digest\n"},
    {{"lands.yaml\nkey: code\nproperties: {code: {type: string, maxLength: 400}}\n",
      "a.yaml\nkey: b\nproperties:\n  b: {type: string, maxLength: 300}\n"
      "  c: {type: string, references: lands}\n"},
     "a.yaml:4:33: `c` needs an index, in which it may take 2832 bytes with the key behind it, at "
     "4 a character; PostgreSQL allows 2704: lessen `maxLength`\n"},
};

static void what_is_wrong_is_told_of_all_files(void **state) {
    bool passed = true;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct scene scene;
        read_all(&scene, refusals[i].files);
        assert_null(scene.catalogue);
        struct text text = said(&scene);
        if (!text_is(text, refusals[i].said)) {
            print_error("case %zu says\n%.*sand should say\n%s\n", i, TEXT_ARGS(text),
                        refusals[i].said);
            passed = false;
        }
        leave(&scene);
    }
    assert_true(passed);
}

// Whichever comes first, a filter knows what is behind a reference as that came out in the end.
static void filters_look_into_others(void **state) {
    static const char *const files[] = {
        "a.yaml\nproperties: {z: {type: integer, references: z}, name: {type: string}}\n"
        "filters:\n  f:\n    g: z.text = '"
        "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae' and z.land in ('x')\n   "
        " h: z.next is null\n",
        "z.yaml\nproperties:\n  text: {type: string, references: texts}\n"
        "  land: {type: string, references: lands}\n  next: {type: integer, references: a}\n"
        "filters: {f: {g: next.name = 'x'}}\n",
        TEXTS, LANDS, NULL};
    struct scene scene;
    read_well(&scene, files);
    const struct resource *a = resource(&scene, "a");
    const struct expression *both = a->filters[0].values[0].expression;
    const struct expression *text = both->operands[0]->operands[0];
    assert_int_equal(text->kind, EXPRESSION_REFERENCED);
    assert_ptr_equal(text->resource, a);
    assert_ptr_equal(text->property, resource_property(a, TEXT("z")));
    assert_int_equal(text->type, VALUE_BYTES);
    leave(&scene);
}

static void nothing_leaks_when_memory_runs_out(void **state) {
    static const char *const files[] = {
        TEXTS,
        "a.yaml\nproperties:\n  a: {type: string, references: texts, examples: [x]}\n"
        "  b: {type: integer, references: a}\n  c: {type: integer, references: c}\n",
        NULL};
    for (ALLOCATION_FAILURES(nth)) {
        struct scene scene;
        read_all(&scene, files);
        bool failed = allocation_allow();
        assert_null(scene.catalogue);
        assert_false(diagnostics_clean(&scene.diagnostics));
        leave(&scene);
        if (!failed)
            break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_property_becomes_what_the_key_is),
        cmocka_unit_test(each_reference_has_an_index),
        cmocka_unit_test(what_refers_comes_later),
        cmocka_unit_test(what_may_become_null_has_versions),
        cmocka_unit_test(what_is_wrong_is_told_of_all_files),
        cmocka_unit_test(filters_look_into_others),
        cmocka_unit_test(nothing_leaks_when_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Any bytes as a body: what is read is written and read again as the same; what is valid is a
// record that can be put back as it is shown, and an empty patch leaves it as it is.
#include "fuzz/fuzz.h"

#include "resource/definition_reader.h"
#include "resource/encode.h"
#include "resource/json_equality.h"
#include "resource/validate.h"

#include <stdlib.h>

static const char definition[] =
    "required: [text]\n"
    "properties:\n"
    "  text: {type: string, minLength: 1, maxLength: 9, pattern: \"^[^x]\"}\n"
    "  link: {type: string, format: uri}\n"
    "  mail: {type: string, format: email}\n"
    "  size: {type: string, enum: [small, large], default: small}\n"
    "  price: {type: string, format: decimal, scale: 2, minimum: -5, multipleOf: 0.25}\n"
    "  whole: {type: integer, minimum: -9223372036854775808, multipleOf: 3}\n"
    "  real: {type: number, exclusiveMaximum: 1e300, multipleOf: 0.01}\n"
    "  flag: {type: boolean}\n"
    "  made_at: {type: string, format: date-time, default_expression: now(), readOnly: true}\n"
    "  due: {type: string, format: date-time}\n"
    "  day: {type: string, format: date}\n"
    "  other: {type: string, format: uuid}\n"
    "  place:\n"
    "    type: object\n"
    "    required: [city]\n"
    "    properties: {city: {type: string}, zip: {type: [string, number, \"null\"]}, any: {}}\n"
    "  free: {type: object}\n"
    "  tags: {type: array, items: {type: [number, string, array]}, maxItems: 9, uniqueItems: "
    "true}\n"
    "checks: {cheap: price is null or price < 900 or flag}\n"
    "lifecycle: {property: state, states: [New, Old]}\n";

static const int64_t now = INT64_C(1470386451620);

static void require(bool condition) {
    if (!condition)
        abort();
}

struct scene {
    struct arena arena;
    struct resource *resource;
    struct faults faults;
    struct value values[RESOURCE_MAX_PROPERTIES];
    struct value again[RESOURCE_MAX_PROPERTIES];
};

static json_t *read_again(struct buffer *out) {
    struct failure failure;
    json_t *tree = json_read(buffer_text(out), &failure);
    require(tree != NULL);
    return tree;
}

static void check_tree(const json_t *tree) {
    struct buffer out = {0};
    struct json_writer writer = json_writer_on(&out);
    json_write_tree(&writer, tree);
    json_t *again = read_again(&out);
    require(json_is_equal(tree, again));
    json_decref(again);
    buffer_free(&out);
}

static void show(const struct scene *scene, const struct value *values, struct buffer *out) {
    struct json_writer writer = json_writer_on(out);
    json_write_object_begin(&writer);
    for (size_t i = 0; i < scene->resource->property_count; i++) {
        json_write_prepared_name(&writer, scene->resource->properties[i].prepared_name);
        encode_value(&writer, &scene->resource->properties[i], values[i]);
    }
    json_write_object_end(&writer);
}

static void require_same(const struct scene *scene, const struct buffer *shown) {
    struct buffer out = {0};
    show(scene, scene->again, &out);
    require(text_equal(buffer_text(&out), buffer_text(shown)));
    buffer_free(&out);
}

static void check_record(struct scene *scene, const struct validation *validation) {
    struct buffer shown = {0};
    scene->values[scene->resource->key.property->index] = value_integer(7);
    show(scene, scene->values, &shown);
    json_t *record = read_again(&shown);
    require(validate_replace(validation, record, scene->values, scene->again));
    require_same(scene, &shown);
    json_t *nothing = json_object();
    json_t *merged = validate_update(validation, record, nothing, scene->values, scene->again);
    require(merged != NULL);
    require_same(scene, &shown);
    validate_stored(validation, record, scene->values);
    require(faults_none(&scene->faults));
    json_decref(merged);
    json_decref(nothing);
    json_decref(record);
    buffer_free(&shown);
}

static void check_faults(const struct faults *faults) {
    require(faults->count > 0 && faults->count <= FAULTS_MAX && !faults->out_of_memory);
    for (size_t i = 0; i < faults->count; i++)
        require(faults->items[i].detail.size > 0 && text_is_utf8(faults->items[i].detail));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct failure failure = {0};
    json_t *body = json_read(text_of((const char *)data, size), &failure);
    if (!body) {
        require(failure.code == FAILURE_MALFORMED_JSON);
        require(text_is_utf8(text_from_string(failure.detail)));
        return 0;
    }
    struct scene scene = {0};
    struct diagnostics diagnostics;
    diagnostics_init(&diagnostics, &scene.arena);
    scene.resource = definition_read(&scene.arena, TEXT("things.yaml"),
                                     text_from_string(definition), &diagnostics);
    require(scene.resource != NULL);
    scene.faults.arena = &scene.arena;
    struct validation validation = {scene.resource, &scene.arena, &scene.faults, now};
    check_tree(body);
    if (validate_create(&validation, body, NULL, scene.values))
        check_record(&scene, &validation);
    else
        check_faults(&scene.faults);
    json_decref(body);
    definition_free(scene.resource);
    arena_free(&scene.arena);
    return 0;
}

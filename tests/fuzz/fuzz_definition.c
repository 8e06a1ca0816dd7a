// Any bytes as a definition: refused, with places that the file has and words in UTF-8, or a
// resource that can say of any body whether it fits.
#include "fuzz/fuzz.h"

#include "resource/definition_reader.h"
#include "resource/validate.h"

#include <stdlib.h>

static void require(bool condition) {
    if (!condition)
        abort();
}

static void check_notes(const struct diagnostics *diagnostics, struct text source) {
    int lines = 1;
    for (size_t i = 0; i < source.size; i++)
        lines += source.data[i] == '\n' || source.data[i] == '\r';
    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct diagnostic *note = &diagnostics->items[i];
        require(note->line >= 0 && note->line <= lines + 1);
        require(note->column >= 0 && (size_t)note->column <= source.size + 2);
        require(note->message.size > 0 && text_is_utf8(note->message));
    }
    struct buffer printed = {0};
    diagnostics_print(diagnostics, &printed);
    buffer_free(&printed);
}

static void check_property(const struct resource *resource, const struct property *property) {
    require(property->index == (size_t)(property - resource->properties));
    require(definition_name_is_valid(property->name));
    require(resource_property(resource, property->name) == property);
    require(property->kind != VALUE_NULL && property->kind < VALUE_KINDS);
    require(value_is_null(property->default_value) ||
            property->default_value.kind == property->kind);
    require(!property->read_only || !property->write_only);
}

static void check_body(const struct resource *resource, const char *source, struct arena *arena) {
    struct value values[RESOURCE_MAX_PROPERTIES];
    struct faults faults = {.arena = arena};
    struct validation validation = {resource, arena, &faults, 0};
    struct failure failure;
    json_t *body = json_read(text_from_string(source), &failure);
    require(body != NULL);
    bool valid = validate_create(&validation, body, NULL, values);
    require(valid == faults_none(&faults));
    for (size_t i = 0; valid && i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        bool made = property == resource->key.property && resource->key.kind == KEY_INTEGER;
        require(value_is_null(values[i]) ? made || !property->required
                                         : values[i].kind == property->kind);
    }
    json_decref(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct text source = text_of((const char *)data, size);
    struct arena arena = {0};
    struct arena notes = {0};
    struct diagnostics diagnostics;
    diagnostics_init(&diagnostics, &notes);
    struct resource *resource =
        definition_read(&arena, TEXT("resources/things.yaml"), source, &diagnostics);
    require((resource != NULL) == diagnostics_clean(&diagnostics));
    check_notes(&diagnostics, source);
    if (resource) {
        require(resource->key.property != NULL && resource->property_count > 0);
        for (size_t i = 0; i < resource->property_count; i++)
            check_property(resource, &resource->properties[i]);
        check_body(resource, "{}", &arena);
        check_body(resource, "{\"a\":\"x\",\"b\":1,\"c\":[1,1.0],\"d\":{\"e\":null}}", &arena);
    }
    definition_free(resource);
    arena_free(&arena);
    arena_free(&notes);
    return 0;
}

#include "resource/catalogue.h"

#include "base/buffer.h"
#include "resource/built_in.h"
#include "resource/definition_reader.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { MAX_SOURCE = 1 << 20 };

// A catalogue while it is put together.
struct loading {
    struct catalogue *catalogue;
    struct diagnostics *diagnostics;
    size_t noted; // diagnostics that were there before
    struct definition **definitions;
    size_t definition_count;
};

static bool is_clean(const struct loading *loading) {
    return loading->diagnostics->count == loading->noted && !loading->diagnostics->out_of_memory;
}

static bool loading_begin(struct loading *loading, const struct dialect *dialect,
                          struct diagnostics *diagnostics) {
    struct catalogue *catalogue = calloc(1, sizeof *catalogue);
    if (!catalogue) {
        diagnostics->out_of_memory = true;
        return false;
    }
    atomic_init(&catalogue->references, 1);
    catalogue->dialect = dialect;
    *loading = (struct loading){
        .catalogue = catalogue, .diagnostics = diagnostics, .noted = diagnostics->count};
    return true;
}

// Diagnostics outlive a catalogue that is not made, so their file names move to their own arena.
static void keep_file_name(struct diagnostics *diagnostics, size_t first, struct text file) {
    struct text kept = {NULL, 0};
    for (size_t i = first; i < diagnostics->count; i++) {
        if (!kept.data)
            kept = arena_copy(diagnostics->arena, file);
        if (!kept.data) {
            diagnostics->out_of_memory = true;
            kept = TEXT("");
        }
        diagnostics->items[i].file = kept;
    }
}

static bool add_resource(struct loading *loading, struct resource *resource) {
    struct catalogue *catalogue = loading->catalogue;
    struct resource **slot = arena_grow(&catalogue->arena, &catalogue->resources,
                                        catalogue->table_count, sizeof(struct resource *));
    if (!slot) {
        definition_free(resource);
        loading->diagnostics->out_of_memory = true;
        return false;
    }
    *slot = resource;
    catalogue->table_count++;
    return true;
}

// Adds the definition in a source; both texts belong to the catalogue's arena.
static void add_definition(struct loading *loading, struct text file, struct text source) {
    struct arena *arena = &loading->catalogue->arena;
    size_t noted = loading->diagnostics->count;
    struct definition **slot = arena_grow(arena, &loading->definitions, loading->definition_count,
                                          sizeof(struct definition *));
    if (!slot)
        loading->diagnostics->out_of_memory = true;
    else if ((*slot = definition_begin(arena, file, source, loading->diagnostics)))
        loading->definition_count++;
    keep_file_name(loading->diagnostics, noted, file);
}

// Ties the definitions to each other. The resources belong to the catalogue from here on, whatever
// is wrong with them.
static void finish_definitions(struct loading *loading) {
    size_t noted = loading->diagnostics->count;
    for (size_t i = 0; i < loading->definition_count; i++) {
        struct resource *resource = definition_resource(loading->definitions[i]);
        definition_link(loading->definitions[i], loading->definitions, loading->definition_count);
        keep_file_name(loading->diagnostics, noted, resource->file);
        noted = loading->diagnostics->count;
    }
    for (size_t i = 0; i < loading->definition_count; i++) {
        struct resource *resource = definition_resource(loading->definitions[i]);
        definition_finish(loading->definitions[i]);
        keep_file_name(loading->diagnostics, noted, resource->file);
        noted = loading->diagnostics->count;
    }
    for (size_t i = 0; i < loading->definition_count; i++)
        loading->catalogue->resource_count +=
            add_resource(loading, definition_resource(loading->definitions[i]));
}

// They come when all others are there.
static void add_built_ins(struct loading *loading) {
    for (size_t i = 0; i < built_in_count; i++) {
        struct resource *resource =
            definition_read_built_in(&loading->catalogue->arena, built_ins[i].file,
                                     built_ins[i].source, loading->diagnostics);
        if (resource)
            add_resource(loading, resource);
    }
}

static int compare_resources(const void *a, const void *b) {
    const struct resource *const *left = a;
    const struct resource *const *right = b;
    return text_compare((*left)->name, (*right)->name);
}

static void check_names(const struct loading *loading) {
    const struct catalogue *catalogue = loading->catalogue;
    for (size_t i = 1; i < catalogue->resource_count; i++) {
        const struct resource *resource = catalogue->resources[i];
        size_t noted = loading->diagnostics->count;
        if (text_equal(resource->name, catalogue->resources[i - 1]->name)) {
            diagnostics_add(loading->diagnostics, resource->file, 0, 0,
                            "another file defines the resource '%.*s' too",
                            TEXT_ARGS(resource->name));
            keep_file_name(loading->diagnostics, noted, resource->file);
        }
    }
}

// ---- References ----

static struct resource *resource_named(const struct catalogue *catalogue, struct text name) {
    size_t i = 0;
    while (!text_equal(catalogue->resources[i]->name, name))
        i++;
    return catalogue->resources[i];
}

static bool note_referrers(struct catalogue *catalogue, struct resource *resource) {
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        if (!property->reference.resource)
            continue;
        struct resource *target = resource_named(catalogue, property->reference.resource->name);
        struct referrer *referrer = arena_grow(&catalogue->arena, &target->referrers,
                                               target->referrer_count, sizeof *referrer);
        if (!referrer)
            return false;
        *referrer = (struct referrer){resource, property};
        target->referrer_count++;
    }
    return true;
}

// Ranking, while it goes on. What is seen and has no rank yet is in the midst of it.
struct ranking {
    struct catalogue *catalogue;
    bool *seen;
    bool *done;
    size_t next;
};

static bool rank(struct ranking *ranking, struct resource *resource);

static bool rank_target(struct ranking *ranking, const struct property *property) {
    const struct resource *target = property->reference.resource;
    return !target || rank(ranking, resource_named(ranking->catalogue, target->name));
}

// Gives ranks to a resource and, before it, to those that it refers to, unless they are in the
// midst of being ranked. A key is no reference that could be left out for a while: where the
// resource that it leads to has no rank, this one has to wait (false).
static bool rank(struct ranking *ranking, struct resource *resource) {
    size_t index = 0;
    while (ranking->catalogue->resources[index] != resource)
        index++;
    if (ranking->seen[index])
        return ranking->done[index];
    ranking->seen[index] = true;
    if (!rank_target(ranking, resource->key.property)) {
        ranking->seen[index] = false;
        return false;
    }
    for (size_t i = 0; i < resource->property_count; i++)
        (void)rank_target(ranking, &resource->properties[i]);
    ranking->catalogue->ranked[ranking->next] = resource;
    resource->rank = ranking->next++;
    ranking->done[index] = true;
    return true;
}

static bool order_resources(struct catalogue *catalogue) {
    size_t count = catalogue->table_count;
    struct ranking ranking = {
        .catalogue = catalogue,
        .seen = arena_allocate_zero(&catalogue->arena, count, sizeof(bool)),
        .done = arena_allocate_zero(&catalogue->arena, count, sizeof(bool)),
    };
    catalogue->ranked = arena_allocate_zero(&catalogue->arena, count, sizeof(struct resource *));
    if (!ranking.seen || !ranking.done || !catalogue->ranked)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!note_referrers(catalogue, catalogue->resources[i]))
            return false;
    }
    for (size_t i = 0; i < count; i++)
        (void)rank(&ranking, catalogue->resources[i]);
    return true;
}

// The resource that the key of one leads to, or NULL.
static const struct resource *behind_key(const struct resource *resource) {
    return resource->key.property ? resource->key.property->reference.resource : NULL;
}

// Keys that refer to each other in a circle: no record could be the first.
static void check_keys(const struct loading *loading) {
    const struct catalogue *catalogue = loading->catalogue;
    for (size_t i = 0; i < catalogue->resource_count; i++) {
        const struct resource *resource = catalogue->resources[i];
        const struct resource *at = behind_key(resource);
        for (size_t steps = 0; at && at != resource && steps < catalogue->resource_count; steps++)
            at = behind_key(at);
        if (!at || at != resource)
            continue;
        const struct property *key = resource->key.property;
        size_t noted = loading->diagnostics->count;
        diagnostics_add(loading->diagnostics, resource->file, key->line, key->column,
                        "keys that refer to each other in a circle let no record be the first");
        keep_file_name(loading->diagnostics, noted, resource->file);
    }
}

static bool make_plans(struct catalogue *catalogue) {
    size_t count = catalogue->table_count;
    catalogue->plans = arena_allocate_zero(&catalogue->arena, count, sizeof *catalogue->plans);
    if (!catalogue->plans)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct resource *resource = catalogue->resources[i];
        if (!plan_make(&catalogue->arena, catalogue->dialect, resource, &catalogue->plans[i]) ||
            !table_put(&catalogue->by_name, resource->name, &catalogue->plans[i]))
            return false;
    }
    const struct plan *operations = catalogue_table(catalogue, TEXT("trestle_operations"));
    return operation_plan_make(&catalogue->arena, operations, &catalogue->operations) &&
           idempotency_plan_make(&catalogue->arena, catalogue->dialect, &catalogue->idempotency) &&
           meta_plan_make(&catalogue->arena, catalogue->dialect, &catalogue->meta);
}

// The finished catalogue, or NULL where anything is wrong.
static struct catalogue *loading_end(struct loading *loading) {
    struct catalogue *catalogue = loading->catalogue;
    if (catalogue->resource_count)
        qsort(catalogue->resources, catalogue->resource_count, sizeof(struct resource *),
              compare_resources);
    check_names(loading);
    check_keys(loading);
    if (is_clean(loading) && (!order_resources(catalogue) || !make_plans(catalogue)))
        loading->diagnostics->out_of_memory = true;
    if (is_clean(loading))
        return catalogue;
    catalogue_release(catalogue);
    return NULL;
}

// ---- Folders ----

// Notes something about a file as a whole; the name may be gone afterwards.
static void note_file(const struct loading *loading, struct text file, const char *message) {
    size_t noted = loading->diagnostics->count;
    diagnostics_add(loading->diagnostics, file, 0, 0, "%s", message);
    keep_file_name(loading->diagnostics, noted, file);
}

// One byte more than a definition may have is enough to see that it has too many.
static bool read_stream(FILE *stream, struct arena *arena, struct text *ret_source) {
    struct buffer bytes = {0};
    bool read = buffer_reserve(&bytes, MAX_SOURCE + 1);
    errno = ENOMEM;
    if (read) {
        bytes.size = fread(bytes.data, 1, MAX_SOURCE + 1, stream);
        read = !ferror(stream);
    }
    if (read) {
        *ret_source = arena_copy(arena, buffer_text(&bytes));
        errno = ENOMEM;
        read = ret_source->data != NULL;
    }
    int error = errno;
    buffer_free(&bytes);
    errno = error;
    return read;
}

static void add_file(struct loading *loading, struct text path) {
    struct stat status;
    struct text source;
    // What is no file could keep whoever opens it waiting.
    if (stat(path.data, &status) == 0 && !S_ISREG(status.st_mode)) {
        note_file(loading, path, "it is no file");
        return;
    }
    FILE *stream = fopen(path.data, "rbe");
    if (!stream || !read_stream(stream, &loading->catalogue->arena, &source))
        note_file(loading, path, strerror(errno));
    else if (source.size > MAX_SOURCE)
        note_file(loading, path, "it is larger than 1 MiB, which no definition is");
    else
        add_definition(loading, path, source);
    if (stream)
        fclose(stream);
}

static bool has_suffix(const char *name, const char *suffix) {
    size_t size = strlen(name);
    size_t suffix_size = strlen(suffix);
    return size > suffix_size && strcmp(name + size - suffix_size, suffix) == 0;
}

static int is_definition(const struct dirent *entry) {
    return entry->d_name[0] != '.' &&
           (has_suffix(entry->d_name, ".yaml") || has_suffix(entry->d_name, ".yml"));
}

static int compare_entries(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void add_entry(struct loading *loading, const char *folder, const char *name) {
    struct text path = arena_format(&loading->catalogue->arena, "%s/%s", folder, name);
    if (!path.data)
        loading->diagnostics->out_of_memory = true;
    else if (has_suffix(name, ".yml"))
        note_file(loading, path, "the name of a definition ends with .yaml: rename it");
    else
        add_file(loading, path);
}

struct catalogue *catalogue_load(const char *folder, const struct dialect *dialect,
                                 struct diagnostics *diagnostics) {
    struct loading loading;
    if (!loading_begin(&loading, dialect, diagnostics))
        return NULL;
    struct dirent **entries;
    int count = scandir(folder, &entries, is_definition, compare_entries);
    if (count < 0) {
        note_file(&loading, text_from_string(folder), strerror(errno));
        return loading_end(&loading);
    }
    for (int i = 0; i < count; i++) {
        add_entry(&loading, folder, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    finish_definitions(&loading);
    add_built_ins(&loading);
    return loading_end(&loading);
}

struct catalogue *catalogue_make(const struct text (*sources)[2], size_t count,
                                 const struct dialect *dialect, struct diagnostics *diagnostics) {
    struct loading loading;
    if (!loading_begin(&loading, dialect, diagnostics))
        return NULL;
    for (size_t i = 0; i < count; i++) {
        struct text file = arena_copy(&loading.catalogue->arena, sources[i][0]);
        struct text source = arena_copy(&loading.catalogue->arena, sources[i][1]);
        if (file.data && source.data)
            add_definition(&loading, file, source);
        else
            diagnostics->out_of_memory = true;
    }
    finish_definitions(&loading);
    return loading_end(&loading);
}

// ---- Use ----

struct catalogue *catalogue_retain(struct catalogue *catalogue) {
    atomic_fetch_add_explicit(&catalogue->references, 1, memory_order_relaxed);
    return catalogue;
}

void catalogue_release(struct catalogue *catalogue) {
    if (!catalogue ||
        atomic_fetch_sub_explicit(&catalogue->references, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < catalogue->table_count; i++)
        definition_free(catalogue->resources[i]);
    table_free(&catalogue->by_name);
    arena_free(&catalogue->arena);
    free(catalogue);
}

const struct plan *catalogue_plan(const struct catalogue *catalogue, struct text resource) {
    return table_get(&catalogue->by_name, resource);
}

const struct plan *catalogue_table(const struct catalogue *catalogue, struct text table) {
    for (size_t i = 0; i < catalogue->table_count; i++) {
        if (text_equal(catalogue->resources[i]->table, table))
            return &catalogue->plans[i];
    }
    return NULL;
}

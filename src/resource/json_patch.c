#include "resource/json_patch.h"

#include "resource/json_equality.h"

#include <stdarg.h>

// --- JSON pointers (RFC 6901) ---

// "" or "/token/token", with "~" only in "~0" and "~1".
static bool pointer_is_valid(struct text pointer) {
    if (pointer.size && pointer.data[0] != '/')
        return false;
    for (size_t i = 0; i < pointer.size; i++) {
        if (pointer.data[i] == '~' &&
            (i + 1 == pointer.size || (pointer.data[i + 1] != '0' && pointer.data[i + 1] != '1')))
            return false;
    }
    return true;
}

// Takes the first token off a pointer that is not empty, still escaped.
static struct text take_token(struct text *pointer) {
    size_t end = 1;
    while (end < pointer->size && pointer->data[end] != '/')
        end++;
    struct text token = text_of(pointer->data + 1, end - 1);
    *pointer = text_from(*pointer, end);
    return token;
}

static size_t count_tokens(struct text pointer) {
    size_t count = 0;
    for (size_t i = 0; i < pointer.size; i++)
        count += pointer.data[i] == '/';
    return count;
}

// Whether `pointer` leads to something inside of what `outer` leads to.
static bool is_inside(struct text pointer, struct text outer) {
    return pointer.size > outer.size && text_starts_with(pointer, outer) &&
           pointer.data[outer.size] == '/';
}

// The name that a token stands for; data NULL when there is no memory.
static struct text unescape(struct arena *arena, struct text token) {
    if (text_find(token, '~') < 0)
        return token;
    char *out = arena_allocate(arena, token.size);
    size_t size = 0;
    for (size_t i = 0; out && i < token.size; i++) {
        bool escaped = token.data[i] == '~';
        i += escaped;
        out[size++] = !escaped ? token.data[i] : token.data[i] == '0' ? '~' : '/';
    }
    return text_of(out, size);
}

// --- What a patch is ---

struct patching;

// What one operation does.
struct verb {
    const char *name;
    bool has_from;
    bool has_value;
    bool (*apply)(struct patching *patching, const json_t *operation);
};

static const struct verb *find_verb(const json_t *operation);

static void note(struct faults *faults, size_t index, const char *member, const char *detail) {
    struct text pointer = arena_format(faults->arena, "/%zu%s", index, member);
    if (pointer.data)
        faults_add(faults, pointer, "%s", detail);
    else
        faults->out_of_memory = true;
}

static void check_pointer(struct faults *faults, size_t index, const char *member,
                          const json_t *pointer) {
    if (!json_is_string(pointer))
        note(faults, index, member, "must be there, as a JSON pointer");
    else if (!pointer_is_valid(json_text(pointer)))
        note(faults, index, member,
             "must be a JSON pointer: empty, or / before each name, with ~0 for ~ and ~1 for /");
}

static void check_operation(struct faults *faults, size_t index, const json_t *operation) {
    const struct verb *verb = find_verb(operation);
    const json_t *path = json_object_get(operation, "path");
    const json_t *from = json_object_get(operation, "from");
    if (!json_is_object(operation)) {
        note(faults, index, "", "must be an operation: an object with op and path");
        return;
    }
    if (!verb)
        note(faults, index, "/op", "must be add, remove, replace, move, copy or test");
    check_pointer(faults, index, "/path", path);
    if (!verb)
        return;
    if (verb->has_value && !json_object_get(operation, "value"))
        note(faults, index, "/value", "must be there");
    if (!verb->has_from)
        return;
    check_pointer(faults, index, "/from", from);
    if (text_is(text_from_string(verb->name), "move") && json_is_string(path) &&
        json_is_string(from) && is_inside(json_text(path), json_text(from)))
        note(faults, index, "/from", "cannot be moved into itself");
}

bool json_patch_check(const json_t *patch, struct faults *faults) {
    if (!json_is_array(patch))
        faults_add(faults, TEXT(""), "must be an array of operations");
    else if (json_array_size(patch) > JSON_PATCH_MAX_OPERATIONS)
        faults_add(faults, TEXT(""), "has %zu operations, and %d are allowed",
                   json_array_size(patch), JSON_PATCH_MAX_OPERATIONS);
    else
        for (size_t i = 0; i < json_array_size(patch) && faults->count < FAULTS_MAX; i++)
            check_operation(faults, i, json_array_get(patch, i));
    return faults_none(faults);
}

// --- Applying it ---

struct patching {
    json_t *root;     // owned; NULL once nothing is left
    size_t copyable;  // bytes that may still be copied
    size_t operation; // which one it is
    const char *name; // of the operation
    struct faults *faults;
    struct failure *failure;
};

// Where a pointer leads: a member or an item of `parent`, or the whole where that is NULL.
struct place {
    json_t *parent;
    struct text name; // in an object
    size_t index;     // in an array; its size for what would come behind its end
};

__attribute__((format(printf, 2, 3))) static bool conflict(struct patching *patching,
                                                           const char *format, ...) {
    struct failure reason;
    va_list arguments;
    va_start(arguments, format);
    failure_set_list(&reason, FAILURE_PATCH_CONFLICT, format, arguments);
    va_end(arguments);
    note(patching->faults, patching->operation, "", reason.detail);
    failure_set(patching->failure, FAILURE_PATCH_CONFLICT, "operation %zu (%s): %s",
                patching->operation, patching->name, reason.detail);
    return false;
}

static bool nothing_there(struct patching *patching, struct text pointer) {
    conflict(patching, "there is no \"%.*s\"", TEXT_ARGS(pointer));
    return false;
}

// Section 4 of RFC 6901: digits without leading zeros; "-" is what is behind the last item.
static bool read_index(const json_t *array, struct text token, size_t *ret_index) {
    int64_t index;
    if (text_is(token, "-")) {
        *ret_index = json_array_size(array);
        return true;
    }
    if (!text_to_integer(token, &index) || index < 0 || token.data[0] == '-' ||
        (uint64_t)index > json_array_size(array))
        return false;
    *ret_index = (size_t)index;
    return true;
}

// The place in a value that a token names, which need not have anything yet.
static bool find_child(struct patching *patching, json_t *parent, struct text token,
                       struct place *ret_place) {
    struct place place = {.parent = parent};
    if (json_is_object(parent)) {
        place.name = unescape(patching->faults->arena, token);
        if (!place.name.data)
            return failure_out_of_memory(patching->failure);
    } else if (!json_is_array(parent) || !read_index(parent, token, &place.index)) {
        return false;
    }
    *ret_place = place;
    return true;
}

// What is at a place, borrowed, or NULL.
static json_t *get(const struct patching *patching, const struct place *place) {
    if (!place->parent)
        return patching->root;
    return json_is_object(place->parent)
               ? json_object_getn(place->parent, place->name.data, place->name.size)
               : json_array_get(place->parent, place->index);
}

static bool find_place(struct patching *patching, struct text pointer, struct place *ret_place) {
    struct place place = {.parent = NULL};
    patching->failure->code = FAILURE_NONE;
    for (struct text rest = pointer; rest.size > 0;) {
        json_t *parent = get(patching, &place);
        struct text token = take_token(&rest);
        if (parent && find_child(patching, parent, token, &place))
            continue;
        if (patching->failure->code == FAILURE_NONE)
            nothing_there(patching, pointer);
        return false;
    }
    *ret_place = place;
    return true;
}

// A place with something.
static bool find_value(struct patching *patching, struct text pointer, struct place *ret_place) {
    struct place place;
    if (!find_place(patching, pointer, &place))
        return false;
    if (!get(patching, &place))
        return nothing_there(patching, pointer);
    *ret_place = place;
    return true;
}

static size_t levels_of(const json_t *value) {
    size_t most = 0;
    const char *name;
    json_t *child;
    size_t i;
    if (!json_is_object(value) && !json_is_array(value))
        return 0;
    json_object_foreach((json_t *)value, name, child) {
        size_t levels = levels_of(child);
        most = levels > most ? levels : most;
    }
    json_array_foreach(value, i, child) {
        size_t levels = levels_of(child);
        most = levels > most ? levels : most;
    }
    return most + 1;
}

// About as many bytes as it has in JSON.
static size_t weight_of(const json_t *value) {
    enum { SCALAR = 8, AROUND = 4 };
    const char *name;
    json_t *child;
    size_t i;
    size_t weight = json_is_string(value) ? json_string_length(value) + AROUND : SCALAR;
    json_object_foreach((json_t *)value, name, child) weight +=
        strlen(name) + AROUND + weight_of(child);
    json_array_foreach(value, i, child) weight += weight_of(child);
    return weight;
}

// Puts a value, which it takes over, at a place: before the item that is there, or instead of the
// member.
static bool put(struct patching *patching, const struct place *place, json_t *value) {
    if (!value)
        return failure_out_of_memory(patching->failure);
    if (!place->parent) {
        json_decref(patching->root);
        patching->root = value;
        return true;
    }
    int failed =
        json_is_object(place->parent)
            ? json_object_setn_new_nocheck(place->parent, place->name.data, place->name.size, value)
            : json_array_insert_new(place->parent, place->index, value);
    return failed == 0 || failure_out_of_memory(patching->failure);
}

static bool add_at(struct patching *patching, struct text path, json_t *value) {
    struct place place;
    if (value && count_tokens(path) + levels_of(value) > JSON_MAX_DEPTH) {
        json_decref(value);
        return conflict(patching, "there would be more than %d levels of arrays and objects",
                        JSON_MAX_DEPTH);
    }
    if (!find_place(patching, path, &place)) {
        json_decref(value);
        return false;
    }
    return put(patching, &place, value);
}

static void take_out(struct patching *patching, const struct place *place) {
    if (!place->parent) {
        json_decref(patching->root);
        patching->root = NULL;
    } else if (json_is_object(place->parent)) {
        json_object_deln(place->parent, place->name.data, place->name.size);
    } else {
        json_array_remove(place->parent, place->index);
    }
}

static struct text text_member(const json_t *operation, const char *name) {
    return json_text(json_object_get(operation, name));
}

// A value of the patch's own, which later operations may change.
static json_t *own_value(const json_t *operation) {
    return json_deep_copy(json_object_get(operation, "value"));
}

static bool apply_add(struct patching *patching, const json_t *operation) {
    return add_at(patching, text_member(operation, "path"), own_value(operation));
}

static bool apply_remove(struct patching *patching, const json_t *operation) {
    struct place place;
    if (!find_value(patching, text_member(operation, "path"), &place))
        return false;
    take_out(patching, &place);
    return true;
}

// In an object, what stands there is replaced by adding, and keeps its place among the members.
static bool apply_replace(struct patching *patching, const json_t *operation) {
    struct text path = text_member(operation, "path");
    struct place place;
    if (!find_value(patching, path, &place))
        return false;
    if (json_is_array(place.parent))
        take_out(patching, &place);
    return add_at(patching, path, own_value(operation));
}

static bool apply_move(struct patching *patching, const json_t *operation) {
    struct text from = text_member(operation, "from");
    struct text path = text_member(operation, "path");
    struct place place;
    if (!find_value(patching, from, &place))
        return false;
    if (text_equal(from, path))
        return true;
    json_t *value = json_incref(get(patching, &place));
    take_out(patching, &place);
    return add_at(patching, path, value);
}

static bool apply_copy(struct patching *patching, const json_t *operation) {
    struct place place;
    if (!find_value(patching, text_member(operation, "from"), &place))
        return false;
    const json_t *value = get(patching, &place);
    size_t weight = weight_of(value);
    if (weight > patching->copyable)
        return conflict(patching, "more would be copied than a body may have");
    patching->copyable -= weight;
    return add_at(patching, text_member(operation, "path"), json_deep_copy(value));
}

static bool apply_test(struct patching *patching, const json_t *operation) {
    struct text path = text_member(operation, "path");
    struct place place;
    if (!find_value(patching, path, &place))
        return false;
    return json_is_equal(get(patching, &place), json_object_get(operation, "value")) ||
           conflict(patching, "the value at \"%.*s\" is another one", TEXT_ARGS(path));
}

static const struct verb verbs[] = {
    {.name = "add", .has_value = true, .apply = apply_add},
    {.name = "remove", .apply = apply_remove},
    {.name = "replace", .has_value = true, .apply = apply_replace},
    {.name = "move", .has_from = true, .apply = apply_move},
    {.name = "copy", .has_from = true, .apply = apply_copy},
    {.name = "test", .has_value = true, .apply = apply_test},
};

static const struct verb *find_verb(const json_t *operation) {
    struct text name = text_member(operation, "op");
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (text_is(name, verbs[i].name))
            return &verbs[i];
    }
    return NULL;
}

static bool apply(struct patching *patching, const json_t *patch) {
    for (size_t i = 0; i < json_array_size(patch); i++) {
        const json_t *operation = json_array_get(patch, i);
        const struct verb *verb = find_verb(operation);
        patching->operation = i;
        patching->name = verb->name;
        if (!verb->apply(patching, operation))
            return false;
    }
    return patching->root || conflict(patching, "nothing is left; DELETE removes a record");
}

json_t *json_patch_apply(const json_t *target, const json_t *patch, size_t most,
                         struct faults *faults, struct failure *failure) {
    struct patching patching = {
        .root = json_deep_copy(target), .copyable = most, .faults = faults, .failure = failure};
    if (!patching.root) {
        failure_out_of_memory(failure);
        return NULL;
    }
    if (apply(&patching, patch))
        return patching.root;
    json_decref(patching.root);
    return NULL;
}

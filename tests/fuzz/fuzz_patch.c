// Any two JSON texts, a line break between them, as a value and a patch of it: the patch is applied
// or refused for a reason, both stay as they were, and what comes of it can be read again.
#include "fuzz/fuzz.h"

#include "resource/json_equality.h"
#include "resource/json_patch.h"

#include <stdlib.h>

enum { MOST = 4096 };

static void require(bool condition) {
    if (!condition)
        abort();
}

static void check_result(const json_t *result, size_t size) {
    struct buffer out = {0};
    struct failure failure;
    struct json_writer writer = json_writer_on(&out);
    json_write_tree(&writer, result);
    json_t *again = json_read(buffer_text(&out), &failure);
    require(again && json_is_equal(again, result));
    // A number may be longer when it is written again than it was.
    require(out.size <= 16 * (size + MOST) + 16);
    json_decref(again);
    buffer_free(&out);
}

static void check(const json_t *target, const json_t *patch, struct arena *arena, size_t size) {
    struct faults faults = {.arena = arena};
    struct failure failure = {0};
    if (!json_patch_check(patch, &faults)) {
        require(faults.count > 0);
        return;
    }
    json_t *before = json_deep_copy(target);
    json_t *patch_before = json_deep_copy(patch);
    json_t *result = json_patch_apply(target, patch, MOST, &faults, &failure);
    require(json_equal(before, target) && json_equal(patch_before, patch));
    if (result)
        check_result(result, size);
    else
        require(failure.code == FAILURE_PATCH_CONFLICT && faults.count == 1 &&
                text_is_utf8(faults.items[0].detail));
    json_decref(result);
    json_decref(patch_before);
    json_decref(before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct text rest = text_of((const char *)data, size);
    struct text first = {"", 0};
    struct failure failure;
    struct arena arena = {0};
    text_split(&rest, '\n', &first);
    json_t *target = json_read(first, &failure);
    json_t *patch = rest.data ? json_read(rest, &failure) : NULL;
    if (target && patch)
        check(target, patch, &arena, size);
    json_decref(patch);
    json_decref(target);
    arena_free(&arena);
    return 0;
}

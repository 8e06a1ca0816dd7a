// Any bytes as what a command says: they mean the same in whatever pieces they come, take bounded
// memory, and what is kept of them is clean.
#include "fuzz/fuzz.h"

#include "work/task_output.h"

#include <stdlib.h>

static void require(bool condition) {
    if (!condition)
        abort();
}

static void read_pieces(struct task_output *output, struct text bytes, size_t piece) {
    task_output_init(output);
    while (bytes.size) {
        size_t size = piece < bytes.size ? piece : bytes.size;
        task_output_feed(output, text_of(bytes.data, size));
        bytes = text_from(bytes, size);
    }
    task_output_end(output);
}

static void check(const struct task_output *output) {
    require(output->progress >= -1 && output->progress <= 100);
    require(output->line.size == 0 && output->line.capacity <= 2 * TASK_LINE_MAX);
    struct text detail = text_from_string(output->detail);
    require(detail.size <= TASK_DETAIL_MAX && text_is_utf8(detail));
    for (size_t i = 0; i < detail.size; i++)
        require((unsigned char)detail.data[i] >= 0x20);
}

static json_t *properties_of(const struct task_output *output) {
    json_t *properties = NULL;
    struct failure failure;
    if (!task_output_properties(output, &properties, &failure))
        return json_string("a fault");
    require(!properties || json_is_object(properties));
    return properties;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct text bytes = text_of((const char *)data, size);
    struct task_output whole, pieces;
    read_pieces(&whole, bytes, size + 1);
    read_pieces(&pieces, bytes, 3);
    check(&whole);
    check(&pieces);
    json_t *first = properties_of(&whole);
    json_t *second = properties_of(&pieces);
    require(whole.progress == pieces.progress && whole.ignored == pieces.ignored &&
            strcmp(whole.detail, pieces.detail) == 0);
    require(first == second || json_equal(first, second));
    json_decref(first);
    json_decref(second);
    task_output_free(&whole);
    task_output_free(&pieces);
    return 0;
}

#include "http/spares.h"
#include "unit/testing.h"

#include <stdlib.h>

static void requests_are_used_again(void **state) {
    static const struct http_limits limits = {.max_head = 1000, .max_body = 1000};
    struct spares *spares = calloc(1, sizeof *spares);
    assert_non_null(spares);
    for (int i = 0; i < 3; i++) {
        struct inbound *inbound = spares_take_inbound(spares);
        struct text input = TEXT("POST /a?b HTTP/1.1\r\nHost: c\r\nContent-Length: 3\r\n\r\nabcd");
        assert_non_null(inbound);
        inbound_start(inbound, &limits);
        assert_int_equal(inbound_read_head(inbound, &input), INBOUND_DONE);
        assert_int_equal(inbound->request.method, HTTP_METHOD_POST);
        assert_text_is(inbound->request.path, "/a");
        assert_text_is(inbound->request.query, "b");
        assert_text_is(http_field(&inbound->request, "HOST"), "c");
        assert_null(http_field(&inbound->request, "Hos").data);
        assert_int_equal(inbound->request.field_count, 2);
        inbound->keep_body = true;
        assert_int_equal(inbound_read_body(inbound, &input), INBOUND_DONE);
        assert_text_is(inbound->request.body, "abc");
        assert_text_is(input, "d");
        inbound->lent = true;
        inbound->request.gone = true;
        spares_give_inbound(spares, inbound);
        assert_int_equal(spares->inbound_count, 1);
        assert_false(inbound->lent);
        assert_false(inbound->request.gone);
    }
    // A head that was refused leaves nothing behind, either.
    struct inbound *inbound = spares_take_inbound(spares);
    struct text input = TEXT("GET / HTTP/1.1\r\nHost: c d\r\n\r\n");
    inbound_start(inbound, &limits);
    assert_int_equal(inbound_read_head(inbound, &input), INBOUND_REFUSED);
    spares_give_inbound(spares, inbound);
    assert_int_equal(inbound->failure.code, FAILURE_NONE);
    spares_free(spares);
    free(spares);
}

static void only_so_many_are_kept(void **state) {
    struct spares *spares = calloc(1, sizeof *spares);
    struct output *outputs[SPARES_MAX + 10];
    assert_non_null(spares);
    for (unsigned i = 0; i < SPARES_MAX + 10; i++) {
        outputs[i] = spares_take_output(spares);
        assert_non_null(outputs[i]);
    }
    for (unsigned i = 0; i < SPARES_MAX + 10; i++)
        spares_give_output(spares, outputs[i]);
    assert_int_equal(spares->output_count, SPARES_MAX);
    struct output *large = spares_take_output(spares);
    assert_true(buffer_reserve(&large->copied, 200000));
    spares_give_output(spares, large);
    assert_int_equal(spares->output_count, SPARES_MAX - 1);
    spares_free(spares);
    free(spares);
}

// What is in use between two calls is kept; what is not goes, little by little.
static void what_is_not_used_goes(void **state) {
    struct spares *spares = calloc(1, sizeof *spares);
    assert_non_null(spares);
    for (int i = 0; i < 100; i++) {
        struct buffer buffer = {0};
        buffer_append_byte(&buffer, 'a');
        spares_give_buffer(spares, &buffer);
        assert_null(buffer.data);
    }
    spares_shrink(spares); // from now on it counts
    assert_int_equal(spares->buffer_count, 100);
    struct buffer used[40];
    for (int i = 0; i < 40; i++) {
        used[i] = spares_take_buffer(spares);
        assert_non_null(used[i].data);
        assert_int_equal(used[i].size, 0);
    }
    for (int i = 0; i < 40; i++)
        spares_give_buffer(spares, &used[i]);
    spares_shrink(spares);
    assert_int_equal(spares->buffer_count, 85); // of 60 that were idle, a quarter
    for (int i = 0; i < 40; i++)
        spares_shrink(spares);
    assert_int_equal(spares->buffer_count, 0);
    assert_null(spares_take_buffer(spares).data);
    spares_free(spares);
    free(spares);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_used_again),
        cmocka_unit_test(only_so_many_are_kept),
        cmocka_unit_test(what_is_not_used_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "http/response.h"
#include "unit/testing.h"

static struct text head_of(unsigned status, size_t body_size, struct response response,
                           struct output *output) {
    static char zeros[100000];
    struct date date = {0};
    struct http_answer answer = {.status = status, .body = {.data = zeros, .size = body_size}};
    http_answer_field(&answer, "A", TEXT("b"));
    date_refresh(&date, 784111777);
    response.answer = &answer;
    response_write_head(&response, &date, output);
    buffer_free(&answer.fields);
    return buffer_text(&output->copied);
}

static void heads(void **state) {
#define DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    static const struct {
        unsigned status;
        size_t body_size;
        struct response response;
        const char *head;
    } cases[] = {
        {200, 5, {0}, "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 5\r\nA: b\r\n\r\n"},
        {201, 0, {0}, "HTTP/1.1 201 Created\r\n" DATE "Content-Length: 0\r\nA: b\r\n\r\n"},
        {200,
         99999,
         {.head = true},
         "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 99999\r\nA: b\r\n\r\n"},
        {204, 5, {0}, "HTTP/1.1 204 No Content\r\n" DATE "A: b\r\n\r\n"},
        {304, 5, {0}, "HTTP/1.1 304 Not Modified\r\n" DATE "A: b\r\n\r\n"},
        {404,
         10,
         {.last = true},
         "HTTP/1.1 404 Not Found\r\n" DATE
         "Content-Length: 10\r\nConnection: close\r\nA: b\r\n\r\n"},
        {200,
         1,
         {.http_1_0 = true},
         "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 1\r\nConnection: keep-alive\r\nA: b\r\n\r\n"},
        {200,
         1,
         {.http_1_0 = true, .last = true},
         "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 1\r\nConnection: close\r\nA: b\r\n\r\n"},
        {299, 1, {0}, "HTTP/1.1 299 \r\n" DATE "Content-Length: 1\r\nA: b\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct output output = {0};
        assert_text_is(head_of(cases[i].status, cases[i].body_size, cases[i].response, &output),
                       cases[i].head);
        assert_int_equal(output.size, output.copied.size);
        output_clear(&output);
        buffer_free(&output.copied);
    }
}

static void content(void **state) {
    struct http_answer answer = {.status = 200};
    struct response response = {.answer = &answer};
    assert_true(response_has_content(&response));
    response.head = true;
    assert_false(response_has_content(&response));
    response.head = false;
    answer.status = 204;
    assert_false(response_has_content(&response));
    answer.status = 304;
    assert_false(response_has_content(&response));
}

static void dates(void **state) {
    struct date date = {0};
    date_refresh(&date, 784111777);
    assert_text_is(text_of(date.text, sizeof date.text), "Sun, 06 Nov 1994 08:49:37 GMT");
    date.text[0] = 'X';
    date_refresh(&date, 784111777); // made once
    assert_int_equal(date.text[0], 'X');
    date_refresh(&date, 951827696);
    assert_text_is(text_of(date.text, sizeof date.text), "Tue, 29 Feb 2000 12:34:56 GMT");
    date_refresh(&date, 4102444799);
    assert_text_is(text_of(date.text, sizeof date.text), "Thu, 31 Dec 2099 23:59:59 GMT");
}

// Each reason is known where failures have a status.
static void failures_have_reasons(void **state) {
    for (int code = FAILURE_NONE; code < FAILURE_CODES; code++) {
        struct output output = {0};
        struct text head =
            head_of(failure_status((enum failure_code)code), 0, (struct response){0}, &output);
        assert_true(head.data[13] != '\r');
        buffer_free(&output.copied);
    }
}

static void fields_cannot_be_split(void **state) {
    struct http_answer answer = {0};
    http_answer_field(&answer, "A", TEXT("b\r\nC: d\0e"));
    http_answer_field(&answer, "Empty", TEXT(""));
    assert_text_is(buffer_text(&answer.fields), "A: b  C: d e\r\nEmpty: \r\n");
    buffer_free(&answer.fields);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads),
        cmocka_unit_test(content),
        cmocka_unit_test(dates),
        cmocka_unit_test(failures_have_reasons),
        cmocka_unit_test(fields_cannot_be_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "http/response.h"

#include <stdio.h>
#include <time.h>

struct status_line {
    unsigned status;
    struct text text;
};

// Frequent ones first.
static const struct status_line status_lines[] = {
    {200, TEXT_INIT("HTTP/1.1 200 OK\r\nDate: ")},
    {201, TEXT_INIT("HTTP/1.1 201 Created\r\nDate: ")},
    {304, TEXT_INIT("HTTP/1.1 304 Not Modified\r\nDate: ")},
    {404, TEXT_INIT("HTTP/1.1 404 Not Found\r\nDate: ")},
    {204, TEXT_INIT("HTTP/1.1 204 No Content\r\nDate: ")},
    {202, TEXT_INIT("HTTP/1.1 202 Accepted\r\nDate: ")},
    {301, TEXT_INIT("HTTP/1.1 301 Moved Permanently\r\nDate: ")},
    {302, TEXT_INIT("HTTP/1.1 302 Found\r\nDate: ")},
    {303, TEXT_INIT("HTTP/1.1 303 See Other\r\nDate: ")},
    {307, TEXT_INIT("HTTP/1.1 307 Temporary Redirect\r\nDate: ")},
    {308, TEXT_INIT("HTTP/1.1 308 Permanent Redirect\r\nDate: ")},
    {400, TEXT_INIT("HTTP/1.1 400 Bad Request\r\nDate: ")},
    {401, TEXT_INIT("HTTP/1.1 401 Unauthorized\r\nDate: ")},
    {403, TEXT_INIT("HTTP/1.1 403 Forbidden\r\nDate: ")},
    {405, TEXT_INIT("HTTP/1.1 405 Method Not Allowed\r\nDate: ")},
    {406, TEXT_INIT("HTTP/1.1 406 Not Acceptable\r\nDate: ")},
    {408, TEXT_INIT("HTTP/1.1 408 Request Timeout\r\nDate: ")},
    {409, TEXT_INIT("HTTP/1.1 409 Conflict\r\nDate: ")},
    {410, TEXT_INIT("HTTP/1.1 410 Gone\r\nDate: ")},
    {412, TEXT_INIT("HTTP/1.1 412 Precondition Failed\r\nDate: ")},
    {413, TEXT_INIT("HTTP/1.1 413 Content Too Large\r\nDate: ")},
    {414, TEXT_INIT("HTTP/1.1 414 URI Too Long\r\nDate: ")},
    {415, TEXT_INIT("HTTP/1.1 415 Unsupported Media Type\r\nDate: ")},
    {417, TEXT_INIT("HTTP/1.1 417 Expectation Failed\r\nDate: ")},
    {422, TEXT_INIT("HTTP/1.1 422 Unprocessable Content\r\nDate: ")},
    {428, TEXT_INIT("HTTP/1.1 428 Precondition Required\r\nDate: ")},
    {429, TEXT_INIT("HTTP/1.1 429 Too Many Requests\r\nDate: ")},
    {429, TEXT_INIT("HTTP/1.1 429 Too Many Requests\r\nDate: ")},
    {431, TEXT_INIT("HTTP/1.1 431 Request Header Fields Too Large\r\nDate: ")},
    {500, TEXT_INIT("HTTP/1.1 500 Internal Server Error\r\nDate: ")},
    {501, TEXT_INIT("HTTP/1.1 501 Not Implemented\r\nDate: ")},
    {503, TEXT_INIT("HTTP/1.1 503 Service Unavailable\r\nDate: ")},
    {505, TEXT_INIT("HTTP/1.1 505 HTTP Version Not Supported\r\nDate: ")},
    {507, TEXT_INIT("HTTP/1.1 507 Insufficient Storage\r\nDate: ")},
};

void date_refresh(struct date *date, int64_t second) {
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    if (date->second == second)
        return;
    date->second = second;
    time_t time = (time_t)second;
    struct tm tm = {0};
    gmtime_r(&time, &tm);
    char text[64]; // larger than any field can make it
    (void)snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
                   tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                   tm.tm_sec);
    memcpy(date->text, text, sizeof date->text);
}

static void write_status_line(unsigned status, struct output *output) {
    for (size_t i = 0; i < sizeof status_lines / sizeof *status_lines; i++) {
        if (status_lines[i].status == status) {
            output_append(output, status_lines[i].text.data, status_lines[i].text.size);
            return;
        }
    }
    char line[64];
    // A reason may be empty (RFC 9112 section 4).
    int size = snprintf(line, sizeof line, "HTTP/1.1 %03u \r\nDate: ", status % 1000);
    output_append(output, line, (size_t)size);
}

static bool status_has_content(unsigned status) {
    return status != 204 && status != 304 && status >= 200;
}

bool response_has_content(const struct response *response) {
    return !response->head && status_has_content(response->answer->status);
}

bool response_is_chunked(const struct response *response) {
    return response->stream && !response->http_1_0 && response_has_content(response);
}

// Digits of a size, right-aligned in `room`; returns where they start.
static char *format_size(size_t size, char *end) {
    do {
        *--end = (char)('0' + size % 10);
        size /= 10;
    } while (size);
    return end;
}

static void write_length(size_t size, struct output *output) {
    static const char name[] = "\r\nContent-Length: ";
    char line[sizeof name + 20];
    char *end = line + sizeof line;
    char *digits = format_size(size, end);
    size_t name_size = sizeof name - 1;
    memcpy(digits - name_size, name, name_size);
    output_append(output, digits - name_size, (size_t)(end - digits) + name_size);
}

void response_write_head(const struct response *response, const struct date *date,
                         struct output *output) {
    static const char chunked[] = "\r\nTransfer-Encoding: chunked";
    const struct http_answer *answer = response->answer;
    write_status_line(answer->status, output);
    output_append(output, date->text, sizeof date->text);
    if (response->stream) {
        if (response_is_chunked(response))
            output_append(output, chunked, sizeof chunked - 1);
    } else if (status_has_content(answer->status)) {
        write_length(answer->body.size, output);
    }
    output_append(output, "\r\n", 2);
    if (response->last)
        output_append(output, "Connection: close\r\n", 19);
    else if (response->http_1_0)
        output_append(output, "Connection: keep-alive\r\n", 24);
    output_append(output, answer->fields.data, answer->fields.size);
    output_append(output, "\r\n", 2);
}

// --- what handlers write ---

void http_answer_field(struct http_answer *answer, const char *name, struct text value) {
    buffer_append_string(&answer->fields, name);
    buffer_append(&answer->fields, ": ", 2);
    size_t start = answer->fields.size;
    buffer_append_text(&answer->fields, value);
    // A caller's mistake must not become another field, or another answer (RFC 9110 section 5.5).
    for (size_t i = start; i < answer->fields.size; i++) {
        char *byte = &answer->fields.data[i];
        if (*byte == '\r' || *byte == '\n' || *byte == '\0')
            *byte = ' ';
    }
    buffer_append(&answer->fields, "\r\n", 2);
}

// The framing of answers (RFC 9112 section 4 and 6, RFC 9110 section 6.4).
#pragma once

#include "http/http.h"
#include "http/output.h"

// The Date field's value (RFC 9110 section 5.6.7), made once a second.
struct date {
    int64_t second; // since 1970; 0: not made yet
    char text[29];  // "Sun, 06 Nov 1994 08:49:37 GMT"
};

struct response {
    const struct http_answer *answer;
    bool head;     // the request was HEAD
    bool http_1_0; // the client speaks HTTP/1.0
    bool last;     // the connection closes afterwards
    bool stream;   // the body comes later, and its length is not known
};

// Makes the date that of `second`, where it is not already.
void date_refresh(struct date *date, int64_t second);

// Whether an answer to this request has content; 204, 304 and answers to HEAD have none.
bool response_has_content(const struct response *response);

// Whether the body goes out in chunks (RFC 9112 section 7.1).
bool response_is_chunked(const struct response *response);

// Writes status line, fields and the empty line.
void response_write_head(const struct response *response, const struct date *date,
                         struct output *output);

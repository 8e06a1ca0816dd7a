// What a request says about itself: its id, its parameters, the types it sends and wants.
#pragma once

#include "api/exchange.h"

// The step that reads the request's id (or makes one) and its query's parameters; api-key is taken
// out of them.
enum step_result identify_request(struct exchange *exchange);

// The step that chooses exchange->media of those that the handler has (RFC 9110 section 12.5.1);
// 406 where none is acceptable, naming them. And exchange->coding (section 12.5.3).
enum step_result negotiate_accept(struct exchange *exchange);

// The media type that Content-Type names.
struct text negotiate_media_type(enum media media);

// The id that a request brings, or one made in `made`: 24 hexadecimal digits, half the service's
// seed, then its count of requests.
enum { REQUEST_ID_SIZE = 24 };
struct text request_id(struct service *service, const struct http_request *request,
                       char made[REQUEST_ID_SIZE]);

// Whether every query parameter is one of `known`; sets the failure otherwise. To those who prefer
// lenient handling, what is not known is as if it had not been sent.
bool negotiate_parameters(struct exchange *exchange, const char *const *known);

// Forgets the query parameters that are not known.
void negotiate_keep_parameters(struct exchange *exchange,
                               bool (*is_known_there)(const void *context, struct text name),
                               const void *context);

// Whether the body is application/x-ndjson; and the handler takes that.
bool negotiate_sends_lines(const struct exchange *exchange);
bool negotiate_takes_lines(const struct exchange *exchange);

// Whether the body's type is one that the handler reads; sets the failure otherwise.
bool negotiate_content_type(struct exchange *exchange);

// Adds a field (Accept-Post, Accept-Patch) that lists the types of bodies which a handler reads.
void negotiate_write_body_types(const struct handler *handler, const char *field,
                                struct http_answer *answer);

// What goes with a 415: the field that says which body would have done (RFC 5789 section 2.2, RFC
// 9110 section 15.5.16).
void negotiate_explain_body(const struct exchange *exchange, struct http_answer *answer);

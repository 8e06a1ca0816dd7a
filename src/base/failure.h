// A failure is a value: a code from the one table below and a sentence for whoever asked. It owns
// nothing and needs no memory, so it works when memory has run out.
#pragma once

#include "base/text.h"

#include <stdarg.h>

// code, HTTP status, last part of the problem's type, title
#define FAILURE_TABLE(X)                                                                           \
    X(NONE, 200, "none", "No failure")                                                             \
    X(MALFORMED_REQUEST, 400, "malformed-request", "The request is not valid HTTP/1.1")            \
    X(INVALID_PATH, 400, "invalid-path", "The path is not valid")                                  \
    X(INVALID_KEY, 400, "invalid-key", "The key in the path cannot be one")                        \
    X(INVALID_PARAMETER, 400, "invalid-parameter", "A query parameter does not fit")               \
    X(UNKNOWN_PARAMETER, 400, "unknown-parameter", "A query parameter is not known here")          \
    X(INVALID_FILTER, 400, "invalid-filter", "The filter does not fit the resource")               \
    X(INVALID_CURSOR, 400, "invalid-cursor", "The cursor does not belong to this request")         \
    X(INVALID_FIELD, 400, "invalid-field", "A header field does not fit")                          \
    X(MALFORMED_JSON, 400, "malformed-json", "The body is not valid JSON")                         \
    X(INVALID_BODY, 400, "invalid-body", "The body does not fit the resource")                     \
    X(KEY_REQUIRED, 401, "key-required", "An API key is required")                                 \
    X(KEY_INVALID, 401, "key-invalid", "The API key is not valid")                                 \
    X(KEY_INACTIVE, 401, "key-inactive", "The API key was deactivated")                            \
    X(KEY_EXPIRED, 401, "key-expired", "The API key has expired")                                  \
    X(FORBIDDEN, 403, "forbidden", "The API key does not allow this")                              \
    X(NOT_FOUND, 404, "not-found", "There is nothing here")                                        \
    X(METHOD_NOT_ALLOWED, 405, "method-not-allowed", "The method is not allowed here")             \
    X(NOT_ACCEPTABLE, 406, "not-acceptable", "No representation is acceptable")                    \
    X(REQUEST_TIMEOUT, 408, "request-timeout", "The request took too long to arrive")              \
    X(CONFLICT, 409, "conflict", "The write conflicts with a stored record")                       \
    X(REFERENCE_MISSING, 409, "reference-missing", "The record refers to one that is not there")   \
    X(IN_USE, 409, "in-use", "Other records refer to this one")                                    \
    X(CONTENTION, 409, "contention", "The record changed too often meanwhile")                     \
    X(PATCH_CONFLICT, 409, "patch-conflict", "The patch does not fit the record as it is")         \
    X(OVERFLOW, 409, "overflow", "A number would not fit")                                         \
    X(TRANSITION_CLOSED, 409, "transition-closed", "The record does not let this happen now")      \
    X(OPERATION_RUNNING, 409, "operation-running", "An operation is under way for the record")     \
    X(OPERATION_ENDED, 409, "operation-ended", "The operation has ended")                          \
    X(OVERTAKEN, 409, "overtaken", "The attempt is no longer the one that counts")                 \
    X(IDEMPOTENCY_IN_PROGRESS, 409, "idempotency-in-progress",                                     \
      "A request with this Idempotency-Key is under way")                                          \
    X(PRECONDITION_FAILED, 412, "precondition-failed", "A precondition does not hold")             \
    X(BODY_TOO_LARGE, 413, "body-too-large", "The body is too large")                              \
    X(TARGET_TOO_LONG, 414, "target-too-long", "The request target is too long")                   \
    X(UNSUPPORTED_MEDIA_TYPE, 415, "unsupported-media-type", "The body's type is not supported")   \
    X(EXPECTATION_UNKNOWN, 417, "expectation-unknown", "The expectation is not known")             \
    X(IDEMPOTENCY_MISMATCH, 422, "idempotency-mismatch",                                           \
      "The Idempotency-Key was used for another request")                                          \
    X(PRECONDITION_REQUIRED, 428, "precondition-required", "The request must be conditional")      \
    X(RATE_LIMITED, 429, "rate-limited", "Too many requests")                                      \
    X(FIELDS_TOO_LARGE, 431, "fields-too-large", "The request's header fields are too large")      \
    X(INTERNAL, 500, "internal", "Something went wrong inside")                                    \
    X(NOT_IMPLEMENTED, 501, "not-implemented", "The server does not implement this")               \
    X(UNAVAILABLE, 503, "unavailable", "The database is not available")                            \
    X(QUEUE_FULL, 503, "queue-full", "Too much is waiting already")                                \
    X(QUERY_TIMEOUT, 503, "query-timeout", "The query took too long")                              \
    X(OUTCOME_UNKNOWN, 503, "outcome-unknown", "It is not known whether the write happened")       \
    X(OUT_OF_MEMORY, 503, "out-of-memory", "There is no memory for this now")                      \
    X(STOPPING, 503, "stopping", "The server is stopping")                                         \
    X(VERSION_NOT_SUPPORTED, 505, "version-not-supported",                                         \
      "Only HTTP/1.0 and HTTP/1.1 are spoken")                                                     \
    X(DISK_FULL, 507, "disk-full", "The disk is full")                                             \
    X(INVALID_DEFINITION, 500, "invalid-definition", "A definition is not valid")                  \
    X(INVALID_SETTING, 500, "invalid-setting", "A setting is not valid")                           \
    X(REFUSED, 500, "refused", "The change would lose something")

enum failure_code {
#define FAILURE_ENUM(code, status, type, title) FAILURE_##code,
    FAILURE_TABLE(FAILURE_ENUM)
#undef FAILURE_ENUM
        FAILURE_CODES
};

struct failure {
    enum failure_code code;
    char detail[480]; // zero-terminated UTF-8; cut at a character where it is longer
};

// Sets code and detail, and returns false so that `return failure_set(…)` reads well. The old
// detail may be an argument.
bool failure_set(struct failure *failure, enum failure_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

bool failure_set_list(struct failure *failure, enum failure_code code, const char *format,
                      va_list arguments) __attribute__((format(printf, 3, 0)));

// The failure that stands for an allocation that gave NULL.
bool failure_out_of_memory(struct failure *failure);

unsigned failure_status(enum failure_code code);
const char *failure_type(enum failure_code code);
const char *failure_title(enum failure_code code);

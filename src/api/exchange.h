// An exchange is one request on its way to its answer. It lives in its request's arena, belongs to
// one service (and so to one loop), and ends when it has answered.
#pragma once

#include "api/etag.h"
#include "api/identity.h"
#include "api/prefer.h"
#include "api/service.h"
#include "base/rate_table.h"
#include "http/http.h"
#include "resource/catalogue.h"

struct exchange;
struct create_all;
struct idempotency;
struct lines;
struct list_stream;
struct operating;

// What a step says.
enum step_result {
    STEP_NEXT,     // go on with the next one
    STEP_WAIT,     // something will call exchange_resume
    STEP_REPEAT,   // back to the step "plan": the handler wants the store once more
    STEP_ANSWERED, // the answer is complete: on to the step "encode"
    STEP_FAIL,     // exchange->failure says why
};

// What a body is, by its media type.
enum body_type { BODY_JSON, BODY_MERGE_PATCH, BODY_JSON_PATCH, BODY_LINES, BODY_TYPES };

// What an answer is, by its media type; the order is that of our own preference. A type is offered
// where a handler names it, and negotiate.c knows its name.
enum media { MEDIA_JSON, MEDIA_HAL, MEDIA_LINES, MEDIA_EVENTS, MEDIAS };

// What an answer to a write can be, as RFC 7240 section 4.2 has it.
enum returns { RETURNS_NOTHING = 1 << 0, RETURNS_ALL = 1 << 1 };

// How a client takes large answers.
enum coding {
    CODING_IDENTITY,
    CODING_GZIP,
    CODING_GZIP_ONLY, // small ones, too
};

// What a handler does with the request's conditions.
enum conditions_use {
    CONDITIONS_IGNORED, // they mean nothing here (RFC 9110 section 13.2.1)
    CONDITIONS_READ,    // they are about the representation that is to be sent
    CONDITIONS_CHANGE,  // about the record, and the handler asks conditions_hold
    CONDITIONS_LIST,    // about a list to which something is added
};

// The fields as sent, each "*" or a list of tags; data NULL where there is none.
struct conditions {
    struct text if_match;
    struct text if_none_match;
};

// What describes the content of an answer; the step `represent` writes it.
struct representation {
    struct text type;          // data NULL: the handler writes its own fields
    struct text cache_control; // for GET and HEAD
    bool keyed;                // only those with a key are given it
    struct etag etag;
    bool hashed; // the tag is to be made of the bytes
};

// A limit that a request was counted under, and what its bucket said.
struct counted {
    const struct rate_limit *limit; // the process's or the catalogue's
    struct rate_state state;
};

enum { EXCHANGE_COUNTED = 3 };

// What serves one method of one route. Each function is one of the steps; those that are NULL have
// nothing to do.
struct handler {
    enum action action;         // of a resource, for authorization; ACTIONS where it is none
    bool each;                  // where it is none: each record says who may; somebody must ask
    bool reads_body;            // JSON of one of the accepted types
    bool body_may_lack;         // `body` is NULL then
    bool takes_record;          // the body is a record, an array of such, or a patch of one
    const char *const *members; // that a body has which is no record, NULL-terminated; NULL: the
                                // handler has its own idea of what there is
    unsigned body_types;        // besides application/json: a set of 1 << body_type
    unsigned media;             // what it can answer: a set of 1 << media; 0: MEDIA_JSON alone
    unsigned returns;           // what it lets clients choose: a set of `enum returns`
    const char *const
        *parameters;        // the query parameters that it knows, NULL-terminated; NULL: none
    bool checks_parameters; // it looks at them itself, in prepare
    bool asks_nobody;       // it looks at no API key, and no limit counts
    enum conditions_use conditions;
    enum step_result (*prepare)(struct exchange *exchange);  // the path's key, the parameters
    enum step_result (*validate)(struct exchange *exchange); // what the body says
    enum step_result (*plan)(struct exchange *exchange);     // puts calls into the job
    bool (*on_row)(struct exchange *exchange, size_t call, const struct value *cells);
    bool (*accompany)(struct exchange *exchange);  // adds to a job that writes what goes with its
                                                   // first call, which then must change one row
    bool (*inspect)(struct exchange *exchange);    // notes faults of a changed record's values that
                                                   // its definition does not know of
    void (*on_written)(struct exchange *exchange); // a job that writes has ended, well or not:
                                                   // what of the service's it may have changed
    // What the store's outcome means. Where the request has an Idempotency-Key it is run on a
    // thread of the store's, as on_row is, so it may touch nothing but the exchange.
    enum step_result (*settle)(struct exchange *exchange);

    // Of an answer that is a stream (exchange_stream_begin); as in http.h. NULL: on_writable calls
    // exchange_resume, on_stopping lets the stream go on, on_gone gives up the job that is out (a
    // write is let finish) or ends the exchange. One that is set does that itself, also before the
    // stream begins: exchange_abandon, now or later.
    void (*on_writable)(struct exchange *exchange);
    void (*on_stopping)(struct exchange *exchange);
    void (*on_gone)(struct exchange *exchange);

    // Gives back what the handler has that is not the exchange's arena's, however it ended. NULL:
    // nothing.
    void (*release)(struct exchange *exchange);

    // Of a body that is read in pieces (http_read_piece): the next one; there is no more, and
    // request->fault says whether it broke off.
    void (*on_piece)(struct exchange *exchange, struct text piece);
    void (*on_last_piece)(struct exchange *exchange);
};

enum { EXCHANGE_FEW_CALLS = 4 }; // for more, exchange_make_room

struct exchange {
    struct service *service;
    struct http_request *request;
    struct catalogue *catalogue; // a reference
    size_t step;
    struct text request_id;
    char made_id[24]; // what it points to, when the client sent none

    struct address client;    // from where it comes
    struct identity identity; // who asks
    struct counted counted[EXCHANGE_COUNTED];
    size_t counted_count;

    // What was asked for.
    const struct handler *handler;
    enum coding coding;
    enum media media;              // of those that the handler has, what the client likes best
    const struct handler *refused; // the one to come back to, while it is looked at what
                                   // stands against its write
    size_t refused_call;           // of its job, which was at fault
    const struct plan *plan;       // the resource's; NULL for the program's own routes
    const struct plan *listed;     // of what a list has, where that is not the resource itself
    const struct transition *transition; // that the path names, or NULL
    struct preferences preferences;
    struct text path_key;  // decoded; data NULL where the path has none
    struct text path_part; // what stands behind it, in the same way
    struct parameter *parameters;
    size_t parameter_count;
    struct text api_key;             // as presented, from `authenticate` on, wherever it stands;
                                     // before, in the query. data NULL where there is none
    struct text wanted_resource;     // what the caller lacks the right to, where that is not
    struct text wanted_verb;         // told by the path; data NULL
    struct idempotency *idempotency; // NULL: no Idempotency-Key
    int64_t now;                     // the one instant of this request
    struct value key;                // of the record
    struct conditions conditions;
    enum body_type body_type;
    json_t *body;                  // owned
    json_t *merged;                // owned; what validate_update made
    struct query query;            // of a list; of a record, what is shown of it
    const struct resource *unseen; // that the caller may not read, and asked to see something of

    // The store's part. While a job is out, rows may arrive on another thread, and nothing else
    // touches these.
    struct job job;
    struct call *calls; // what job.calls is made of
    size_t call_room;
    struct call few_calls[EXCHANGE_FEW_CALLS];
    struct outcome outcome; // of the job that was out
    bool job_is_out;
    uint64_t patience;           // when the store must be done, on its clock; 0: not asked for
    bool is_busy;                // with something that resumes it, other than its job
    unsigned round;              // how often the store was asked
    unsigned stage;              // a handler's own: what it is at
    struct value *values;        // of the record that is written
    struct create_all *all;      // of a body that is an array; NULL: it is none
    struct value *stored;        // of the record as it is
    struct value *linked;        // of the record that is written with its links
    int64_t version;             // of the record that came last
    struct value operation;      // of a long transition: the one that it begins
    struct operating *operating; // of what is done with operations
    struct text secret;          // of an API key, which is shown in this answer and never again
    size_t rows;                 // that came, where the handler counts them
    struct text first_cursor;    // of a list: at the first row that came, and at the last one shown
    struct text last_cursor;
    size_t rows_start;               // of a list: where its first record begins in the body
    size_t *row_ends;                // of a backward list: where each record ends in the body
    int64_t total;                   // of a count
    struct json_writer writer;       // on answer.body
    struct list_stream *list_stream; // of a list that is a stream

    struct representation representation;
    struct listener *listener; // of events; NULL where it is none, or no longer

    struct http_answer answer;
    bool streams; // its head is on its way; `answer` is the handler's to use
    struct failure failure;
    struct faults faults;

    // A part of a request that is many writes is an exchange, too.
    struct lines *lines;                            // of a whole: what it reads
    struct exchange *whole;                         // of a part; NULL: it is none
    void (*on_answered)(struct exchange *exchange); // of a part: `answer` is complete
};

// Starts a request on its journey. The handler's contract of http.h is kept from here on.
void exchange_start(struct service *service, struct http_request *request);

// Starts a part of a request: the caller is the same, `handler` is asked what to do with the body
// in `part_request`, which has an arena of its own and no connection. When it has its answer (maybe
// before this returns), on_answered is called instead of sending it; the part may be started again
// then. It starts zeroed the first time, and keeps its answer's memory.
void exchange_start_part(struct exchange *part, struct exchange *whole,
                         struct http_request *part_request, const struct handler *handler,
                         void (*on_answered)(struct exchange *part));

// Goes on after a wait.
void exchange_resume(struct exchange *exchange);

// For steps: begins an answer that is a stream, with the status and the fields of exchange->answer,
// which is empty afterwards. Then the handler writes with http_stream_write and waits (STEP_WAIT)
// for whatever has exchange_resume go on at the same step, and may go back to the store
// (STEP_REPEAT). STEP_NEXT from the last step ends the stream, STEP_FAIL breaks it off.
void exchange_stream_begin(struct exchange *exchange, bool endless);

// Ends an exchange whose client has gone and that waits for nothing.
void exchange_abandon(struct exchange *exchange);

// For the step "plan", before it uses more than EXCHANGE_FEW_CALLS: makes room in exchange->calls,
// keeping those that are there. False when there is no memory.
bool exchange_make_room(struct exchange *exchange, size_t call_count);

// For steps: submits exchange->job, and the step is left. exchange_resume goes on behind it when
// the job is done.
enum step_result exchange_submit(struct exchange *exchange);

// Forgets what rows made: the answer, and what is counted.
void exchange_forget(struct exchange *exchange);

// For steps: sets the failure and gives STEP_FAIL.
enum step_result exchange_fail(struct exchange *exchange, enum failure_code code,
                               const char *format, ...) __attribute__((format(printf, 3, 4)));
enum step_result exchange_out_of_memory(struct exchange *exchange);

// The answer to a request that never became an exchange, or an exchange's failure, as problem+json.
void exchange_explain(struct service *service, const struct http_request *request,
                      const struct failure *failure, struct http_answer *answer);

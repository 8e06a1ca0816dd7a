// The bodies of the claim protocol.
#pragma once

#include "api/operation_claim.h"

// What may be in a body, as bits of a set.
enum operation_member {
    MEMBER_TRANSITIONS = 1 << 0,
    MEMBER_WORKER = 1 << 1,
    MEMBER_LEASE = 1 << 2,
    MEMBER_ATTEMPT = 1 << 3,
    MEMBER_PROGRESS = 1 << 4,
    MEMBER_DETAIL = 1 << 5,
    MEMBER_STATE = 1 << 6,
    MEMBER_SET = 1 << 7,
};

struct operation_body {
    const json_t *transitions; // an array of strings; NULL: not there
    struct text worker;
    int64_t lease; // milliseconds
    int64_t attempt;
    int64_t progress;      // -1: not there
    struct text detail;    // data NULL: not there
    enum finish_kind kind; // that the state asks for
    const json_t *set;     // NULL: not there
};

// Reads a body that may have some members and must have others; its texts are the tree's. Notes
// everything in which it does not fit.
void operation_body_read(const json_t *body, unsigned may, unsigned must, struct faults *faults,
                         struct operation_body *ret_body);

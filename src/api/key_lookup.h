// Looking an API key up in the database, by its secret's digest.
#pragma once

#include "api/api_key.h"
#include "base/digest.h"
#include "resource/dialect.h"

struct key_lookup_plan {
    struct statement find; // (digest in hexadecimal) -> the columns that key_lookup_read takes
};

bool key_lookup_plan_make(struct arena *arena, const struct dialect *dialect,
                          struct key_lookup_plan *ret_plan);

// The call that finds the key of a digest: one row or none.
bool key_lookup_call(const struct key_lookup_plan *plan, const unsigned char digest[DIGEST_SIZE],
                     struct arena *arena, struct call *ret_call);

// The key in a row that came. `digest` is what was looked for; a row that has another one is none.
struct api_key *key_lookup_read(const struct value *cells, const unsigned char digest[DIGEST_SIZE],
                                struct failure *failure);

// Entity tags (RFC 9110 section 8.8.3): the names by which clients say which state of a resource
// they know.
//
// The tag of a single record is "VERSION.REPRESENTATION": the record's version, and a hash of all
// else that its bytes depend on. So a client that knows any representation of a record can say with
// its tag which version it means to change. The tag of a list has one part, a hash of its bytes.
// All tags that we make are strong.
#pragma once

#include "base/text.h"

enum etag_kind {
    ETAG_NONE,
    ETAG_RECORD, // version and representation
    ETAG_LIST,   // representation alone
};

struct etag {
    enum etag_kind kind;
    int64_t version;
    uint64_t representation; // its lower 48 bits count
    bool coded;              // as gzip, which is another representation
};

// What ends the tag of a representation that is coded as gzip.
#define ETAG_CODED "+gz"

enum { ETAG_SIZE = 20 + 1 + 8 + 3 };

// Writes a tag without its quotes and returns its size, at most ETAG_SIZE bytes.
size_t etag_format(struct etag etag, char out[ETAG_SIZE]);

// Whether the value of If-Match or If-None-Match is "*" or a list of at least one tag.
bool etag_list_is_valid(struct text list);

// Whether a tag is in a list, which may be "*". `strongly`: those marked as weak do not count
// (section 8.8.3.2).
bool etag_is_listed(struct etag etag, struct text list, bool strongly);

// Whether the tag of any representation of a version is in a list, which may be "*".
bool etag_version_is_listed(int64_t version, struct text list, bool strongly);

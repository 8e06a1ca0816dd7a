// Listening sockets, made from the addresses of the settings.
#pragma once

#include "cli/settings.h"

// Binds and listens. The descriptor, non-blocking and closed on exec, is the caller's. A Unix
// socket that nobody listens on any more is replaced. Failures say what stands against the address.
bool listen_open(const struct listen_address *address, int *ret_descriptor,
                 struct failure *failure);

// Writes where a socket listens, "http://127.0.0.1:8080" or "unix:PATH", for people.
void listen_describe(int descriptor, struct buffer *out);

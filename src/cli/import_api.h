// The target of an import that is a running server.
#pragma once

#include "cli/client.h"
#include "cli/import.h"

// The server must outlive it. NULL and a failure when there is no memory.
struct import_target *import_api_open(struct import *import, const struct client_server *server,
                                      struct failure *failure);

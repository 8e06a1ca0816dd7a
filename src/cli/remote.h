// What import and export have in common: whether they go through a running server or straight into
// the database, and the resource that they are about.
#pragma once

#include "cli/client.h"
#include "cli/command.h"
#include "resource/catalogue.h"

// The options that say where to; a command's own options stand before them.
#define REMOTE_OPTIONS                                                                             \
    {.name = "server",                                                                             \
     .placeholder = "URL",                                                                         \
     .variable = "TRESTLE_SERVER",                                                                 \
     .help = "go through the API of this server; http://..., https://... or unix:PATH"},           \
        {.name = "key",                                                                            \
         .placeholder = "KEY",                                                                     \
         .variable = "TRESTLE_KEY",                                                                \
         .help = "the API key for it; else the admin_key of the settings"},                        \
    {                                                                                              \
        .name = "direct",                                                                          \
        .help = "straight into the database, also when a server answers at `listen`"               \
    }

// Finds out where to go: the server that --server names, else, unless --direct is given, one that
// answers at an address of `listen`, else none (`ret_is_remote` is false). The server's texts
// belong to the arena or the invocation.
bool remote_find(const struct invocation *invocation, struct arena *arena, bool *ret_is_remote,
                 struct client_server *ret_server, struct failure *failure);

// For who waits for a server: the one that --server names, else where one would listen; nobody is
// asked. The key is that of --key or the settings.
bool remote_name(const struct invocation *invocation, struct arena *arena,
                 struct client_server *ret_server, struct failure *failure);

// The plan of the resource that the first argument names; NULL and a failure that suggests another
// where there is none, or its definition has no such action.
const struct plan *remote_resource(const struct catalogue *catalogue, const char *name,
                                   enum action action, struct failure *failure);

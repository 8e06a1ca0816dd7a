// The settings of one run of the program, read once from their sources, each stronger than the one
// before: built-in defaults, trestle.yaml, TRESTLE_* variables, flags. One table says all there is
// to know about each of them. All that the settings point to belongs to their arena.
#pragma once

#include "api/cors.h"
#include "api/proxies.h"
#include "base/diagnostics.h"
#include "base/log.h"
#include "base/rate.h"
#include "store/store.h"

enum listen_kind {
    LISTEN_TCP,        // host and port
    LISTEN_UNIX,       // path
    LISTEN_DESCRIPTOR, // inherited, already bound
};

struct listen_address {
    enum listen_kind kind;
    const char *text; // as written
    const char *host; // a name or a numeric address, without brackets
    uint16_t port;    // 0: whichever is free
    const char *path;
    int descriptor;
};

struct listen_list {
    struct listen_address *items;
    size_t count; // at least 1
};

struct database_location {
    enum store_dialect dialect;
    const char *path; // STORE_SQLITE; NULL otherwise
    const char *url;  // STORE_POSTGRES; NULL otherwise. It may hold a password
};

enum migrate_mode {
    MIGRATE_AUTO,  // at start, do what loses nothing
    MIGRATE_NEVER, // at start, only look
};

// Sizes in bytes, times in milliseconds. Strings end with a zero byte.
struct settings {
    struct listen_list listen;
    struct database_location database;
    const char *resources;      // the folder of the definitions
    const char *data;           // the folder that trestle writes
    const char *admin_key;      // also what admin_key_file holds; NULL: none is configured
    const char *admin_key_file; // NULL: none
    unsigned key_warning;       // how long before its end a key is warned
    struct proxies proxies;
    struct rate rate_limit_key; // those that are off are all zero
    struct rate rate_limit_address;
    struct rate rate_limit_failures;
    unsigned workers; // 0: one a core that the process may use
    enum log_format log;
    enum log_level log_level;
    const char *log_file; // NULL: standard error
    bool log_access;
    enum migrate_mode migrate;
    size_t max_body;
    size_t max_head;
    unsigned max_connections; // of the process; 0: no bound
    unsigned request_timeout;
    unsigned idle_timeout;
    unsigned write_timeout;
    unsigned query_timeout;
    unsigned shutdown_timeout;
    unsigned idempotency_retention;
    unsigned events_retention;
    unsigned operations_retention;
    unsigned events_heartbeat;
    unsigned runner; // commands at once; 0: none
    unsigned runner_lease;
    unsigned queue_limit; // jobs that may wait for the database
    unsigned connections; // to PostgreSQL, of the process
    unsigned connect_timeout;
    unsigned lock_timeout;
    bool prepare;                // statements on PostgreSQL
    const char *database_listen; // a URL of PostgreSQL, "" for that of the database; NULL: off
    struct cors_origins cors_origins;
    size_t gzip_min; // 0: off
    struct arena arena;
};

enum setting_type {
    SETTING_LISTEN,
    SETTING_DATABASE,
    SETTING_PATH,
    SETTING_SECRET,
    SETTING_COUNT,
    SETTING_SIZE,
    SETTING_DURATION,
    SETTING_SWITCH,
    SETTING_CHOICE,
    SETTING_NETWORKS,
    SETTING_RATE,
    SETTING_ORIGINS,
    SETTING_SIZE_OR_OFF,
    SETTING_DIRECT, // off, on, or the URL of another way to the database
    SETTING_TYPES
};

// Which subcommands a setting is a flag of, as bits.
enum setting_use {
    USED_BY_SERVE = 1 << 0,
    USED_BY_CHECK = 1 << 1,
    USED_BY_MIGRATE = 1 << 2,
    USED_BY_IMPORT = 1 << 3,
    USED_BY_EXPORT = 1 << 4,
    USED_BY_COPY = 1 << 5,
    USED_BY_BACKUP = 1 << 6,
    USED_BY_AGENT = 1 << 7,
    USED_BY_KEYS = 1 << 8,
    USED_BY_ROUTES = 1 << 9,
};

// One row of the table.
struct setting {
    const char *name; // `max_body:`, TRESTLE_MAX_BODY, --max-body
    enum setting_type type;
    size_t offset;              // of its member in struct settings
    const char *default_text;   // in the form that users write; NULL: none
    uint64_t least;             // SETTING_COUNT, SETTING_SIZE, SETTING_DURATION
    uint64_t most;              // ditto
    const char *const *choices; // SETTING_CHOICE: the words for 0, 1, …, NULL-terminated
    unsigned used_by;           // a set of setting_use
    const char *help;           // one line
};

// One flag of the command line, "--listen VALUE".
struct setting_flag {
    const struct setting *setting;
    const char *value;
};

struct settings_sources {
    const char *config;       // the file that --config names; NULL: TRESTLE_CONFIG, or trestle.yaml
                              // where there is one
    char *const *environment; // "NAME=VALUE", NULL-terminated, as environ is
    const struct setting_flag *flags;
    size_t flag_count;
    bool reads_secrets; // the file that admin_key_file names is read
};

// All of them, in the order in which help shows them.
const struct setting *settings_table(size_t *ret_count);

// "ADDRESS", "SIZE", "on|off", …: what stands for the value in help.
const char *setting_placeholder(const struct setting *setting);

// Reads all sources. Everything that is wrong is noted, with its place or the name of its variable
// or flag; false then. Values that are secrets are never repeated in messages.
bool settings_read(const struct settings_sources *sources, struct settings *ret_settings,
                   struct diagnostics *diagnostics);

void settings_free(struct settings *settings);

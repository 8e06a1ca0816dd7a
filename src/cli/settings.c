#include "cli/settings.h"

#include "base/buffer.h"
#include "base/suggest.h"
#include "base/yaml.h"
#include "cli/setting_value.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KiB = 1024, MiB = 1024 * KiB, SECOND = 1000, HOUR = 3600 * SECOND };
enum { CONFIG_SIZE_MAX = MiB, NAME_SIZE = 64 };

static const char default_config[] = "trestle.yaml";
static const char variable_prefix[] = "TRESTLE_";

static const char *const log_formats[] = {[LOG_TEXT] = "text", [LOG_JSON] = "json", NULL};
static const char *const log_levels[] = {[LOG_DEBUG] = "debug",
                                         [LOG_INFO] = "info",
                                         [LOG_WARNING] = "warning",
                                         [LOG_ERROR] = "error",
                                         NULL};
static const char *const migrate_modes[] = {
    [MIGRATE_AUTO] = "auto", [MIGRATE_NEVER] = "never", NULL};

static const char *const proxy_fields[] = {
    [PROXY_X_FORWARDED_FOR] = "x-forwarded-for", [PROXY_FORWARDED] = "forwarded", NULL};

enum {
    SERVING = USED_BY_SERVE,
    READING = USED_BY_SERVE | USED_BY_CHECK | USED_BY_MIGRATE | USED_BY_IMPORT | USED_BY_EXPORT |
              USED_BY_KEYS,
    STORING = READING | USED_BY_COPY,
    DEFINING = STORING | USED_BY_ROUTES,
    CALLING = USED_BY_SERVE | USED_BY_IMPORT | USED_BY_EXPORT | USED_BY_AGENT,
    STARTING = USED_BY_SERVE | USED_BY_IMPORT,
    MAKING = STARTING | USED_BY_KEYS,
    MIGRATING = MAKING | USED_BY_COPY,
};

#define AT(member) offsetof(struct settings, member)

// clang-format off
static const struct setting table[] = {
    {.name = "listen", .type = SETTING_LISTEN, .offset = AT(listen), .used_by = CALLING,
     .default_text = "127.0.0.1:8080",
     .help = "HOST:PORT, [IPv6]:PORT, unix:PATH or fd:NUMBER (inherited); several with commas"},
    {.name = "database", .type = SETTING_DATABASE, .offset = AT(database),
     .used_by = READING | USED_BY_BACKUP,
     .default_text = "sqlite:data/trestle.db",
     .help = "where the records are: sqlite:PATH, or postgresql://USER:PASSWORD@HOST/NAME"},
    {.name = "resources", .type = SETTING_PATH, .offset = AT(resources), .used_by = DEFINING,
     .default_text = "resources",
     .help = "the folder with a definition (NAME.yaml) for each resource"},
    {.name = "data", .type = SETTING_PATH, .offset = AT(data),
     .used_by = MAKING | USED_BY_AGENT,
     .default_text = "data",
     .help = "the one folder that the program writes to; made where it is missing"},
    {.name = "admin_key", .type = SETTING_SECRET, .offset = AT(admin_key), .used_by = CALLING,
     .help = "the administrator's API key, at least 16 characters; better in a file"},
    {.name = "admin_key_file", .type = SETTING_PATH, .offset = AT(admin_key_file),
     .used_by = CALLING,
     .help = "a file with that key"},
    {.name = "key_warning", .type = SETTING_DURATION, .offset = AT(key_warning),
     .used_by = SERVING, .default_text = "3d", .least = 0, .most = 30ULL * 24 * HOUR,
     .help = "how long before its end an API key is warned"},
    {.name = "trusted_proxies", .type = SETTING_NETWORKS, .offset = AT(proxies.trusted),
     .used_by = SERVING, .default_text = "none",
     .help = "who is believed where requests come from: addresses, networks, unix; or none"},
    {.name = "proxy_field", .type = SETTING_CHOICE, .offset = AT(proxies.field),
     .used_by = SERVING, .default_text = "x-forwarded-for", .choices = proxy_fields,
     .help = "the field in which they say it: x-forwarded-for or forwarded (RFC 7239)"},
    {.name = "rate_limit_key", .type = SETTING_RATE, .offset = AT(rate_limit_key),
     .used_by = SERVING, .default_text = "off",
     .help = "requests of one API key: 100/s, 6000/m burst 200, or off; s, m, h or d"},
    {.name = "rate_limit_address", .type = SETTING_RATE, .offset = AT(rate_limit_address),
     .used_by = SERVING, .default_text = "off",
     .help = "requests of one address that have no API key"},
    {.name = "rate_limit_failures", .type = SETTING_RATE, .offset = AT(rate_limit_failures),
     .used_by = SERVING, .default_text = "60/m burst 100",
     .help = "requests of one address whose API key is not good"},
    {.name = "workers", .type = SETTING_COUNT, .offset = AT(workers), .used_by = SERVING,
     .default_text = "0", .most = 1024,
     .help = "threads that serve; 0: one a processor that the process may use"},
    {.name = "log", .type = SETTING_CHOICE, .offset = AT(log), .used_by = DEFINING,
     .default_text = "text", .choices = log_formats,
     .help = "the form of log lines"},
    {.name = "log_level", .type = SETTING_CHOICE, .offset = AT(log_level), .used_by = DEFINING,
     .default_text = "info", .choices = log_levels,
     .help = "the least important lines that are written"},
    {.name = "log_file", .type = SETTING_PATH, .offset = AT(log_file), .used_by = DEFINING,
     .help = "where log lines go instead of standard error"},
    {.name = "log_access", .type = SETTING_SWITCH, .offset = AT(log_access), .used_by = SERVING,
     .default_text = "on",
     .help = "a line a request"},
    {.name = "migrate", .type = SETTING_CHOICE, .offset = AT(migrate), .used_by = MIGRATING,
     .default_text = "auto", .choices = migrate_modes,
     .help = "auto: make tables, columns and indexes that are missing; never: only check"},
    {.name = "max_body", .type = SETTING_SIZE, .offset = AT(max_body), .used_by = STARTING,
     .default_text = "8MiB", .least = KiB, .most = 1024 * MiB,
     .help = "the largest request body, and the largest record of an import"},
    {.name = "max_head", .type = SETTING_SIZE, .offset = AT(max_head), .used_by = SERVING,
     .default_text = "16KiB", .least = KiB, .most = MiB,
     .help = "the largest request line and header fields together"},
    {.name = "max_connections", .type = SETTING_COUNT, .offset = AT(max_connections),
     .used_by = SERVING, .default_text = "10000", .most = 1000000,
     .help = "clients connected at once; 0: no bound"},
    {.name = "request_timeout", .type = SETTING_DURATION, .offset = AT(request_timeout),
     .used_by = SERVING, .default_text = "30s", .least = 100, .most = 24 * HOUR,
     .help = "for a client to send a whole request"},
    {.name = "idle_timeout", .type = SETTING_DURATION, .offset = AT(idle_timeout),
     .used_by = SERVING, .default_text = "75s", .least = 100, .most = 24 * HOUR,
     .help = "for which a connection may wait for its next request"},
    {.name = "write_timeout", .type = SETTING_DURATION, .offset = AT(write_timeout),
     .used_by = SERVING, .default_text = "30s", .least = 100, .most = 24 * HOUR,
     .help = "for a client to take an answer"},
    {.name = "query_timeout", .type = SETTING_DURATION, .offset = AT(query_timeout),
     .used_by = STORING, .default_text = "5s", .least = 10, .most = 24 * HOUR,
     .help = "for the database to answer"},
    {.name = "shutdown_timeout", .type = SETTING_DURATION, .offset = AT(shutdown_timeout),
     .used_by = SERVING, .default_text = "10s", .least = 0, .most = 24 * HOUR,
     .help = "for requests under way to finish when the server is to stop"},
    {.name = "idempotency_retention", .type = SETTING_DURATION, .offset = AT(idempotency_retention),
     .used_by = SERVING, .default_text = "24h", .least = SECOND, .most = 30ULL * 24 * HOUR,
     .help = "for which the answer to a request with an Idempotency-Key is kept"},
    {.name = "events_retention", .type = SETTING_DURATION, .offset = AT(events_retention),
     .used_by = SERVING, .default_text = "24h", .least = SECOND, .most = 30ULL * 24 * HOUR,
     .help = "for which events are kept for listeners that come back"},
    {.name = "operations_retention", .type = SETTING_DURATION, .offset = AT(operations_retention),
     .used_by = SERVING, .default_text = "30d", .least = SECOND, .most = 45ULL * 24 * HOUR,
     .help = "for which operations are kept that have ended"},
    {.name = "events_heartbeat", .type = SETTING_DURATION, .offset = AT(events_heartbeat),
     .used_by = SERVING, .default_text = "15s", .least = 100, .most = HOUR,
     .help = "after which a listener without news is written to, so that no proxy lets go of it"},
    {.name = "runner", .type = SETTING_COUNT, .offset = AT(runner), .used_by = SERVING,
     .default_text = "4", .most = 256,
     .help = "commands of operations that run at once in this process; 0: only agents work"},
    {.name = "runner_lease", .type = SETTING_DURATION, .offset = AT(runner_lease),
     .used_by = SERVING, .default_text = "30s", .least = 2 * SECOND, .most = HOUR,
     .help = "after which another process begins again what a process that was lost was at"},
    {.name = "queue_limit", .type = SETTING_COUNT, .offset = AT(queue_limit), .used_by = STARTING,
     .default_text = "8192", .least = 1, .most = 1000000,
     .help = "jobs that may wait for the database; more are answered 503"},
    {.name = "connections", .type = SETTING_COUNT, .offset = AT(connections), .used_by = STORING,
     .default_text = "20", .least = 3, .most = 10000,
     .help = "to PostgreSQL, of all workers together; each worker has 3 at least"},
    {.name = "connect_timeout", .type = SETTING_DURATION, .offset = AT(connect_timeout),
     .used_by = STORING, .default_text = "2s", .least = SECOND, .most = HOUR,
     .help = "to reach PostgreSQL at each of its hosts, in whole seconds"},
    {.name = "lock_timeout", .type = SETTING_DURATION, .offset = AT(lock_timeout),
     .used_by = STORING, .default_text = "2s", .least = 10, .most = 24 * HOUR,
     .help = "for a lock of PostgreSQL's"},
    {.name = "prepare", .type = SETTING_SWITCH, .offset = AT(prepare), .used_by = STORING,
     .default_text = "on",
     .help = "prepare statements; off behind a pgbouncer before 1.21 that pools transactions"},
    {.name = "database_listen", .type = SETTING_DIRECT, .offset = AT(database_listen),
     .used_by = SERVING, .default_text = "off",
     .help = "hear of changes by LISTEN: on, or the URL of a way to PostgreSQL past a pooler"},
    {.name = "cors_origins", .type = SETTING_ORIGINS, .offset = AT(cors_origins),
     .used_by = SERVING, .default_text = "off",
     .help = "origins whose web pages may read answers: SCHEME://HOST[:PORT], several with commas; "
             "* for all"},
    {.name = "gzip_min", .type = SETTING_SIZE_OR_OFF, .offset = AT(gzip_min), .used_by = SERVING,
     .default_text = "1KiB", .least = 1, .most = 1024 * MiB,
     .help = "the smallest answer that is compressed for clients that take gzip; off: none is"},
};
// clang-format on

enum { SETTINGS = sizeof table / sizeof *table };

// Variables that have the prefix but belong to a subcommand's own flags, or are told to the
// commands of operations.
static const char *const other_variables[] = {"CONFIG",    "KEY",     "KEY_FILE", "SERVER",
                                              "OPERATION", "ATTEMPT", NULL};

static const char *const placeholders[SETTING_TYPES] = {
    [SETTING_LISTEN] = "ADDRESS",    [SETTING_DATABASE] = "URL",         [SETTING_PATH] = "PATH",
    [SETTING_SECRET] = "KEY",        [SETTING_COUNT] = "NUMBER",         [SETTING_SIZE] = "SIZE",
    [SETTING_DURATION] = "TIME",     [SETTING_SWITCH] = "on|off",        [SETTING_CHOICE] = "WORD",
    [SETTING_DIRECT] = "on|off|URL", [SETTING_NETWORKS] = "NETWORKS",    [SETTING_RATE] = "RATE",
    [SETTING_ORIGINS] = "ORIGINS",   [SETTING_SIZE_OR_OFF] = "SIZE|off",
};

const struct setting *settings_table(size_t *ret_count) {
    *ret_count = SETTINGS;
    return table;
}

const char *setting_placeholder(const struct setting *setting) {
    return placeholders[setting->type];
}

enum origin { FROM_DEFAULT, FROM_FILE, FROM_ENVIRONMENT, FROM_FLAG };

struct reading {
    struct settings *settings;
    struct diagnostics *diagnostics;
    enum origin origins[SETTINGS]; // of the values so far
};

// Where a value stands, for messages.
struct place {
    struct text file; // or the name of a variable or a flag
    int line;
    int column;
};

static const struct setting *find_setting(struct text name) {
    for (size_t i = 0; i < SETTINGS; i++) {
        if (text_is(name, table[i].name))
            return &table[i];
    }
    return NULL;
}

static void read_value(struct reading *reading, enum origin origin, const struct setting *setting,
                       struct text value, const struct place *place) {
    struct failure failure;
    if (setting_value_read(setting, value, reading->settings, &failure)) {
        reading->origins[setting - table] = origin;
        return;
    }
    // In a file the key stands beside the place; a variable and a flag are the place.
    const char *name = origin == FROM_FILE ? setting->name : "";
    diagnostics_add(reading->diagnostics, place->file, place->line, place->column, "%s%s%s", name,
                    *name ? ": " : "", failure.detail);
}

static void read_defaults(struct reading *reading) {
    static const struct place nowhere = {TEXT_INIT("default"), 0, 0};
    for (size_t i = 0; i < SETTINGS; i++) {
        if (table[i].default_text)
            read_value(reading, FROM_DEFAULT, &table[i], text_from_string(table[i].default_text),
                       &nowhere);
    }
}

// Reads a whole file that must not be larger than `most`; errno says why not, EFBIG when it is.
static bool read_file(const char *path, size_t most, struct buffer *out) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return false;
    int error = 0;
    for (ssize_t size = 1; size != 0 && !error;) {
        if (!buffer_reserve(out, 4096)) {
            error = ENOMEM;
            break;
        }
        size = read(descriptor, out->data + out->size, out->capacity - out->size);
        if (size < 0 && errno != EINTR)
            error = errno;
        else if (size > 0)
            out->size += (size_t)size;
        if (out->size > most)
            error = EFBIG;
    }
    close(descriptor);
    errno = error;
    return error == 0;
}

static struct place place_of(struct text file, const struct yaml_node *node) {
    return (struct place){file, node->line, node->column};
}

static void note_unknown_key(struct reading *reading, struct text file,
                             const struct yaml_node *key) {
    struct suggestion suggestion = {.word = key->scalar};
    for (size_t i = 0; i < SETTINGS; i++)
        suggest_offer(&suggestion, text_from_string(table[i].name));
    if (suggestion.best.data)
        diagnostics_add(reading->diagnostics, file, key->line, key->column,
                        "there is no setting \"%.*s\"; perhaps %.*s is meant",
                        TEXT_ARGS(key->scalar), TEXT_ARGS(suggestion.best));
    else
        diagnostics_add(reading->diagnostics, file, key->line, key->column,
                        "there is no setting \"%.*s\"; \"trestle help serve\" lists them",
                        TEXT_ARGS(key->scalar));
}

// What the value may be besides a scalar, for messages; NULL: nothing.
static const char *list_of(const struct setting *setting) {
    return setting->type == SETTING_LISTEN     ? "an address or a list of them"
           : setting->type == SETTING_NETWORKS ? "a network or a list of them"
           : setting->type == SETTING_ORIGINS  ? "an origin or a list of them"
                                               : NULL;
}

// A sequence of addresses or origins is what the other sources write with commas.
static void read_sequence(struct reading *reading, struct text file, const struct setting *setting,
                          const struct yaml_node *node) {
    struct buffer joined = {0};
    const char *wanted = list_of(setting);
    bool scalars = wanted && node->sequence.count > 0;
    for (size_t i = 0; scalars && i < node->sequence.count; i++) {
        const struct yaml_node *item = node->sequence.items[i];
        scalars = item->kind < YAML_SEQUENCE && item->kind != YAML_NULL;
        if (i > 0)
            buffer_append_byte(&joined, ',');
        if (scalars)
            buffer_append_text(&joined, item->scalar);
    }
    struct place place = place_of(file, node);
    if (joined.failed)
        reading->diagnostics->out_of_memory = true;
    else if (scalars)
        read_value(reading, FROM_FILE, setting, buffer_text(&joined), &place);
    else
        diagnostics_add(reading->diagnostics, file, node->line, node->column,
                        "%s: %s is expected, not a list", setting->name,
                        wanted ? wanted : "one value");
    buffer_free(&joined);
}

static void read_pair(struct reading *reading, struct text file, const struct yaml_pair *pair) {
    const struct setting *setting = find_setting(pair->key->scalar);
    const struct yaml_node *node = pair->value;
    struct place place = place_of(file, node);
    if (!setting)
        note_unknown_key(reading, file, pair->key);
    else if (node->kind == YAML_SEQUENCE)
        read_sequence(reading, file, setting, node);
    else if (node->kind == YAML_MAPPING)
        diagnostics_add(reading->diagnostics, file, node->line, node->column,
                        "%s: one value is expected, not a mapping", setting->name);
    else if (node->kind != YAML_NULL) // which is as if the key were not there
        read_value(reading, FROM_FILE, setting, node->scalar, &place);
}

static void read_config_source(struct reading *reading, struct text file, struct text source) {
    struct diagnostics *diagnostics = reading->diagnostics;
    struct yaml_node *root;
    struct yaml_problem problem;
    if (!yaml_read(diagnostics->arena, source, &root, &problem))
        diagnostics_add(diagnostics, file, problem.line, problem.column, "%s", problem.detail);
    else if (root->kind == YAML_MAPPING)
        for (size_t i = 0; i < root->mapping.count; i++)
            read_pair(reading, file, &root->mapping.pairs[i]);
    else if (root->kind != YAML_NULL)
        diagnostics_add(diagnostics, file, root->line, root->column,
                        "\"NAME: VALUE\" lines are expected, not %s", yaml_kind_name(root->kind));
}

// The file that --config or TRESTLE_CONFIG name must be there; trestle.yaml may.
static void read_config(struct reading *reading, const char *named) {
    struct diagnostics *diagnostics = reading->diagnostics;
    const char *path = named ? named : default_config;
    struct text file = arena_copy(diagnostics->arena, text_from_string(path));
    struct buffer source = {0};
    if (!file.data)
        diagnostics->out_of_memory = true;
    else if (read_file(path, CONFIG_SIZE_MAX, &source))
        read_config_source(reading, file, buffer_text(&source));
    else if (named || errno != ENOENT)
        diagnostics_add(diagnostics, file, 0, 0, "it cannot be read: %s", strerror(errno));
    buffer_free(&source);
}

// The value of a variable, or NULL where it is not set or empty, which counts as not set: that is
// what compose files make of a variable that the host does not have.
static const char *variable(char *const *environment, const char *name) {
    size_t size = strlen(name);
    for (; environment && *environment; environment++) {
        if (strncmp(*environment, name, size) == 0 && (*environment)[size] == '=')
            return (*environment)[size + 1] ? *environment + size + 1 : NULL;
    }
    return NULL;
}

// "MAX_BODY" to "max_body"; false where it is too long to be one or is not in capitals.
static bool setting_name_of(struct text variable_name, char out[NAME_SIZE]) {
    if (variable_name.size >= NAME_SIZE)
        return false;
    for (size_t i = 0; i < variable_name.size; i++) {
        char c = variable_name.data[i];
        if (c >= 'a' && c <= 'z')
            return false;
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    out[variable_name.size] = '\0';
    return true;
}

static bool is_other_variable(struct text name) {
    for (size_t i = 0; other_variables[i]; i++) {
        if (text_is(name, other_variables[i]))
            return true;
    }
    return false;
}

static void note_unknown_variable(struct reading *reading, struct text file, const char *name) {
    struct suggestion suggestion = {.word = text_from_string(name)};
    for (size_t i = 0; i < SETTINGS; i++)
        suggest_offer(&suggestion, text_from_string(table[i].name));
    char meant[NAME_SIZE] = "";
    for (size_t i = 0; i < suggestion.best.size; i++) {
        char c = suggestion.best.data[i];
        meant[i] = c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
    }
    if (*meant)
        diagnostics_add(reading->diagnostics, file, 0, 0,
                        "there is no such setting; perhaps %s%s is meant", variable_prefix, meant);
    else
        diagnostics_add(reading->diagnostics, file, 0, 0,
                        "there is no such setting; \"trestle help serve\" lists them");
}

static void read_variable(struct reading *reading, const char *assignment) {
    const char *equals = strchr(assignment, '=');
    size_t prefix = strlen(variable_prefix);
    if (!equals || strncmp(assignment, variable_prefix, prefix) != 0)
        return;
    struct place place = {text_of(assignment, (size_t)(equals - assignment)), 0, 0};
    struct text name = text_from(place.file, prefix);
    char lower[NAME_SIZE] = "";
    const struct setting *setting = NULL;
    if (setting_name_of(name, lower))
        setting = find_setting(text_from_string(lower));
    if (setting && equals[1])
        read_value(reading, FROM_ENVIRONMENT, setting, text_from_string(equals + 1), &place);
    else if (!setting && !is_other_variable(name))
        note_unknown_variable(reading, place.file, lower);
}

static void read_flag(struct reading *reading, const struct setting_flag *flag) {
    struct text name = arena_format(reading->diagnostics->arena, "--%s", flag->setting->name);
    if (!name.data) {
        reading->diagnostics->out_of_memory = true;
        return;
    }
    for (char *c = strchr(name.data, '_'); c; c = strchr(c, '_'))
        *c = '-';
    struct place place = {name, 0, 0};
    read_value(reading, FROM_FLAG, flag->setting, text_from_string(flag->value), &place);
}

static void read_admin_key_file(struct reading *reading, struct text path) {
    struct diagnostics *diagnostics = reading->diagnostics;
    struct buffer content = {0};
    if (!read_file(path.data, CONFIG_SIZE_MAX, &content)) {
        diagnostics_add(diagnostics, TEXT("admin_key_file"), 0, 0, "%s cannot be read: %s",
                        path.data, strerror(errno));
    } else {
        struct text key = buffer_text(&content);
        while (key.size && (key.data[key.size - 1] == '\n' || key.data[key.size - 1] == '\r'))
            key.size--;
        struct failure failure;
        if (!setting_value_read(find_setting(TEXT("admin_key")), key, reading->settings, &failure))
            diagnostics_add(diagnostics, TEXT("admin_key_file"), 0, 0,
                            "the key in %s does not do: %s", path.data, failure.detail);
        explicit_bzero(content.data, content.size);
    }
    buffer_free(&content);
}

// Of admin_key and admin_key_file the one from the stronger source counts.
static void settle_admin_key(struct reading *reading, bool reads_secrets) {
    struct settings *settings = reading->settings;
    if (!settings->admin_key_file)
        return;
    enum origin key = reading->origins[find_setting(TEXT("admin_key")) - table];
    enum origin file = reading->origins[find_setting(TEXT("admin_key_file")) - table];
    if (settings->admin_key && key == file) {
        diagnostics_add(reading->diagnostics, TEXT("admin_key_file"), 0, 0,
                        "admin_key is set in the same place; keep one of the two");
    } else if (settings->admin_key && key > file) {
        settings->admin_key_file = NULL;
    } else {
        settings->admin_key = NULL;
        if (reads_secrets)
            read_admin_key_file(reading, text_from_string(settings->admin_key_file));
    }
}

bool settings_read(const struct settings_sources *sources, struct settings *ret_settings,
                   struct diagnostics *diagnostics) {
    struct settings settings = {0};
    struct reading reading = {.settings = &settings, .diagnostics = diagnostics};
    const char *config = sources->config;
    read_defaults(&reading);
    read_config(&reading, config ? config : variable(sources->environment, "TRESTLE_CONFIG"));
    for (char *const *item = sources->environment; item && *item; item++)
        read_variable(&reading, *item);
    for (size_t i = 0; i < sources->flag_count; i++)
        read_flag(&reading, &sources->flags[i]);
    settle_admin_key(&reading, sources->reads_secrets);
    if (!diagnostics_clean(diagnostics)) {
        settings_free(&settings);
        return false;
    }
    *ret_settings = settings;
    return true;
}

void settings_free(struct settings *settings) {
    if (!settings)
        return;
    arena_free(&settings->arena);
    *settings = (struct settings){0};
}

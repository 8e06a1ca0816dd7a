#include "cli/setting_value.h"

#include "base/quantity.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/un.h>

enum { ADMIN_KEY_MIN = 16, ADMIN_KEY_MAX = 1000 };

__attribute__((format(printf, 2, 3))) static bool refuse(struct failure *failure,
                                                         const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    failure_set_list(failure, FAILURE_INVALID_SETTING, format, arguments);
    va_end(arguments);
    return false;
}

// A copy that ends with a zero byte.
static const char *keep(struct settings *settings, struct text text, struct failure *failure) {
    const char *copy = arena_copy(&settings->arena, text).data;
    if (!copy)
        failure_out_of_memory(failure);
    return copy;
}

static bool read_unix_address(struct settings *settings, struct text path,
                              struct listen_address *address, struct failure *failure) {
    enum { PATH_SIZE = sizeof((struct sockaddr_un *)NULL)->sun_path };
    if (path.size == 0)
        return refuse(failure,
                      "there is no path behind \"unix:\"; an example is unix:/run/trestle/http");
    if (path.size >= PATH_SIZE)
        return refuse(failure, "the path of a Unix socket may have at most %d bytes",
                      PATH_SIZE - 1);
    address->kind = LISTEN_UNIX;
    address->path = keep(settings, path, failure);
    return address->path != NULL;
}

static bool read_descriptor_address(struct text number, struct listen_address *address,
                                    struct failure *failure) {
    int64_t descriptor;
    if (!text_to_integer(number, &descriptor) || descriptor < 3 || descriptor > 1 << 20)
        return refuse(failure, "\"fd:%.*s\" names no inherited socket; the first one is fd:3",
                      TEXT_ARGS(number));
    address->kind = LISTEN_DESCRIPTOR;
    address->descriptor = (int)descriptor;
    return true;
}

static bool is_ipv6(const char *host) {
    struct in6_addr ignored;
    char address[INET6_ADDRSTRLEN] = "";
    size_t size = strcspn(host, "%"); // what follows names an interface
    if (size >= sizeof address)
        return false;
    memcpy(address, host, size);
    return inet_pton(AF_INET6, address, &ignored) == 1;
}

// Letters, digits, "-" and ".": a name or an IPv4 address; whether it exists shows when it is
// bound.
static bool is_host(struct text host) {
    for (size_t i = 0; i < host.size; i++) {
        char c = host.data[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '.' || c == '_';
        if (!fits)
            return false;
    }
    return host.size > 0 && host.size < 256;
}

static bool refuse_address(struct text text, struct failure *failure) {
    return refuse(failure,
                  "\"%.*s\" is no address to listen at; write HOST:PORT (127.0.0.1:8080, or "
                  "0.0.0.0:8080 for all of IPv4), [IPv6]:PORT ([::]:8080), unix:PATH or fd:NUMBER",
                  TEXT_ARGS(text));
}

static bool read_tcp_address(struct settings *settings, struct text text,
                             struct listen_address *address, struct failure *failure) {
    bool bracketed = text.size > 0 && text.data[0] == '[';
    ptrdiff_t end = text_find(text, bracketed ? ']' : ':');
    size_t colon = (size_t)end + (bracketed ? 1 : 0);
    if (end < 0 || colon >= text.size || text.data[colon] != ':')
        return refuse_address(text, failure);
    size_t start = bracketed ? 1 : 0;
    struct text host = text_of(text.data + start, (size_t)end - start);
    int64_t port;
    if (!text_to_integer(text_from(text, colon + 1), &port))
        return refuse_address(text, failure);
    if (port < 0 || port > UINT16_MAX)
        return refuse(failure, "\"%.*s\" has a port that is not in 0 to 65535", TEXT_ARGS(text));
    const char *name = keep(settings, host, failure);
    if (!name)
        return false;
    if (bracketed ? !is_ipv6(name) : !is_host(host))
        return refuse_address(text, failure);
    address->kind = LISTEN_TCP;
    address->host = name;
    address->port = (uint16_t)port;
    return true;
}

static bool read_address(struct settings *settings, struct text text,
                         struct listen_address *address, struct failure *failure) {
    *address = (struct listen_address){.text = keep(settings, text, failure), .descriptor = -1};
    if (!address->text)
        return false;
    if (text_starts_with(text, TEXT("unix:")))
        return read_unix_address(settings, text_from(text, strlen("unix:")), address, failure);
    if (text_starts_with(text, TEXT("fd:")))
        return read_descriptor_address(text_from(text, strlen("fd:")), address, failure);
    return read_tcp_address(settings, text, address, failure);
}

// One address or several with commas between them.
static bool read_listen(const struct setting *setting, struct text text, struct settings *settings,
                        void *field, struct failure *failure) {
    struct listen_list list = {0};
    struct text part;
    while (text_split(&text, ',', &part)) {
        struct listen_address *address =
            arena_grow(&settings->arena, &list.items, list.count, sizeof *address);
        if (!address)
            return failure_out_of_memory(failure);
        if (!read_address(settings, text_trim(part), address, failure))
            return false;
        list.count++;
    }
    memcpy(field, &list, sizeof list);
    return true;
}

static bool read_sqlite(struct text path, struct settings *settings,
                        struct database_location *location, struct failure *failure) {
    if (text_starts_with(path, TEXT("//")))
        return refuse(failure,
                      "\"sqlite:%.*s\" has slashes that are no part of the path; write sqlite:%.*s",
                      TEXT_ARGS(path), (int)path.size - 2, path.data + 2);
    if (text_is(path, ":memory:"))
        return refuse(failure, "a database in memory would be lost; write sqlite:PATH");
    *location =
        (struct database_location){.dialect = STORE_SQLITE, .path = keep(settings, path, failure)};
    return location->path;
}

// What libpq takes for a URL; it finds the faults in it that there may be.
static bool is_postgres_url(struct text text) {
    return text_starts_with(text, TEXT("postgresql://")) ||
           text_starts_with(text, TEXT("postgres://"));
}

// A text that may be a URL is never repeated: there may be a password in it.
static bool read_database(const struct setting *setting, struct text text,
                          struct settings *settings, void *field, struct failure *failure) {
    struct text sqlite = TEXT("sqlite:");
    struct database_location location = {.dialect = STORE_POSTGRES};
    if (text_starts_with(text, sqlite) && text.size > sqlite.size) {
        if (!read_sqlite(text_from(text, sqlite.size), settings, &location, failure))
            return false;
    } else if (is_postgres_url(text)) {
        location.url = keep(settings, text, failure);
        if (!location.url)
            return false;
    } else {
        return refuse(failure, "that names no database; write sqlite:PATH, as in "
                               "sqlite:data/trestle.db, or postgresql://USER:PASSWORD@HOST/NAME");
    }
    memcpy(field, &location, sizeof location);
    return true;
}

static bool read_direct(const struct setting *setting, struct text text, struct settings *settings,
                        void *field, struct failure *failure) {
    const char *url = NULL;
    if (is_postgres_url(text)) {
        url = keep(settings, text, failure);
        if (!url)
            return false;
    } else if (text_is(text, "on") || text_is(text, "true")) {
        url = "";
    } else if (!text_is(text, "off") && !text_is(text, "false")) {
        return refuse(failure,
                      "that is neither on nor off nor postgresql://USER:PASSWORD@HOST/NAME");
    }
    memcpy(field, &url, sizeof url);
    return true;
}

// "none", or one or several with commas between them.
static bool read_networks(const struct setting *setting, struct text text,
                          struct settings *settings, void *field, struct failure *failure) {
    struct network_list list = {.count = 0};
    struct network *networks = NULL;
    struct text part;
    bool none = text_is(text, "none");
    while (!none && text_split(&text, ',', &part)) {
        part = text_trim(part);
        if (text_is(part, "unix")) {
            list.unix_sockets = true;
            continue;
        }
        struct network *network =
            arena_grow(&settings->arena, &networks, list.count, sizeof *network);
        if (!network)
            return failure_out_of_memory(failure);
        if (!network_parse(part, network))
            return refuse(
                failure,
                "\"%.*s\" is neither an address nor a network; write 192.0.2.7, "
                "10.0.0.0/8, 2001:db8::/32 (the bits behind its size are 0), unix or none",
                TEXT_ARGS(part));
        list.count++;
    }
    list.items = networks;
    memcpy(field, &list, sizeof list);
    return true;
}

static bool read_rate(const struct setting *setting, struct text text, struct settings *settings,
                      void *field, struct failure *failure) {
    struct rate rate;
    if (!rate_parse(text, &rate))
        return refuse(failure,
                      "\"%.*s\" is no rate; write 100/s, 6000/m, 100/h or 1000/d, perhaps with "
                      "\" burst 200\" behind it, or off",
                      TEXT_ARGS(text));
    memcpy(field, &rate, sizeof rate);
    return true;
}

static bool read_path(const struct setting *setting, struct text text, struct settings *settings,
                      void *field, struct failure *failure) {
    if (text.size == 0)
        return refuse(failure, "a path is expected");
    const char *path = keep(settings, text, failure);
    if (!path)
        return false;
    memcpy(field, &path, sizeof path);
    return true;
}

static bool read_secret(const struct setting *setting, struct text text, struct settings *settings,
                        void *field, struct failure *failure) {
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return refuse(failure,
                          "it may only have visible ASCII characters, so that it fits into "
                          "a header field");
    }
    if (text.size < ADMIN_KEY_MIN || text.size > ADMIN_KEY_MAX)
        return refuse(failure, "it must have %d to %d characters, and has %zu", ADMIN_KEY_MIN,
                      ADMIN_KEY_MAX, text.size);
    return read_path(setting, text, settings, field, failure);
}

static bool read_count(const struct setting *setting, struct text text, struct settings *settings,
                       void *field, struct failure *failure) {
    int64_t count;
    if (!text_to_integer(text, &count) || count < (int64_t)setting->least ||
        count > (int64_t)setting->most)
        return refuse(failure, "\"%.*s\" is no integer from %" PRIu64 " to %" PRIu64,
                      TEXT_ARGS(text), setting->least, setting->most);
    unsigned value = (unsigned)count;
    memcpy(field, &value, sizeof value);
    return true;
}

static bool read_size(const struct setting *setting, struct text text, struct settings *settings,
                      void *field, struct failure *failure) {
    uint64_t bytes;
    if (!quantity_parse_size(text, &bytes))
        return refuse(failure, "\"%.*s\" is no size; write 8MiB, 64KiB or a number of bytes",
                      TEXT_ARGS(text));
    if (bytes < setting->least || bytes > setting->most) {
        char least[32];
        char most[32];
        quantity_format_size(setting->least, least);
        quantity_format_size(setting->most, most);
        return refuse(failure, "\"%.*s\" is not in %s to %s", TEXT_ARGS(text), least, most);
    }
    size_t value = (size_t)bytes;
    memcpy(field, &value, sizeof value);
    return true;
}

static bool read_duration(const struct setting *setting, struct text text,
                          struct settings *settings, void *field, struct failure *failure) {
    uint64_t ms;
    if (!quantity_parse_duration(text, &ms))
        return refuse(failure, "\"%.*s\" is no time span; write 30s, 500ms or 2m", TEXT_ARGS(text));
    if (ms < setting->least || ms > setting->most) {
        char least[32];
        char most[32];
        quantity_format_duration(setting->least, least);
        quantity_format_duration(setting->most, most);
        return refuse(failure, "\"%.*s\" is not in %s to %s", TEXT_ARGS(text), least, most);
    }
    unsigned value = (unsigned)ms;
    memcpy(field, &value, sizeof value);
    return true;
}

// YAML 1.2 reads `on` as a string and true as a boolean; users mean the same by both.
static bool read_switch(const struct setting *setting, struct text text, struct settings *settings,
                        void *field, struct failure *failure) {
    bool on = text_is(text, "on") || text_is(text, "true");
    if (!on && !text_is(text, "off") && !text_is(text, "false"))
        return refuse(failure, "\"%.*s\" is neither on nor off", TEXT_ARGS(text));
    memcpy(field, &on, sizeof on);
    return true;
}

static bool read_choice(const struct setting *setting, struct text text, struct settings *settings,
                        void *field, struct failure *failure) {
    char words[200] = "";
    size_t size = 0;
    for (unsigned i = 0; setting->choices[i]; i++) {
        if (text_is(text, setting->choices[i])) {
            memcpy(field, &i, sizeof i); // enumerations are unsigned integers
            return true;
        }
        int more =
            snprintf(words + size, sizeof words - size, "%s%s", i ? ", " : "", setting->choices[i]);
        size += more > 0 && (size_t)more < sizeof words - size ? (size_t)more : 0;
    }
    return refuse(failure, "\"%.*s\" is none of %s", TEXT_ARGS(text), words);
}

static bool read_size_or_off(const struct setting *setting, struct text text,
                             struct settings *settings, void *field, struct failure *failure) {
    size_t nothing = 0;
    if (!text_is(text, "off") && !text_is(text, "false"))
        return read_size(setting, text, settings, field, failure);
    memcpy(field, &nothing, sizeof nothing);
    return true;
}

static bool add_origin(struct settings *settings, struct text origin, struct text **items,
                       size_t count, struct failure *failure) {
    if (text_is(origin, "*"))
        return refuse(failure, "\"*\" lets all origins in, so it stands alone");
    if (!cors_is_origin(origin))
        return refuse(failure,
                      "\"%.*s\" is no origin as browsers send it; write SCHEME://HOST or "
                      "SCHEME://HOST:PORT (https://shop.example), in lower case, without a path, "
                      "and without the port that the scheme has anyway",
                      TEXT_ARGS(origin));
    struct text *item = arena_grow(&settings->arena, items, count, sizeof *item);
    struct text copy = arena_copy(&settings->arena, origin);
    if (!item || !copy.data)
        return failure_out_of_memory(failure);
    *item = copy;
    return true;
}

static bool read_origins(const struct setting *setting, struct text text, struct settings *settings,
                         void *field, struct failure *failure) {
    struct cors_origins origins = {.any = text_is(text, "*")};
    struct text *items = NULL;
    struct text part;
    bool off = text_is(text, "off") || text_is(text, "false");
    while (!origins.any && !off && text_split(&text, ',', &part)) {
        if (!add_origin(settings, text_trim(part), &items, origins.count, failure))
            return false;
        origins.count++;
    }
    origins.items = items;
    memcpy(field, &origins, sizeof origins);
    return true;
}

static bool (*const readers[SETTING_TYPES])(const struct setting *setting, struct text text,
                                            struct settings *settings, void *field,
                                            struct failure *failure) = {
    [SETTING_LISTEN] = read_listen,     [SETTING_DATABASE] = read_database,
    [SETTING_PATH] = read_path,         [SETTING_SECRET] = read_secret,
    [SETTING_COUNT] = read_count,       [SETTING_SIZE] = read_size,
    [SETTING_SWITCH] = read_switch,     [SETTING_DURATION] = read_duration,
    [SETTING_CHOICE] = read_choice,     [SETTING_DIRECT] = read_direct,
    [SETTING_ORIGINS] = read_origins,   [SETTING_SIZE_OR_OFF] = read_size_or_off,
    [SETTING_NETWORKS] = read_networks, [SETTING_RATE] = read_rate,
};

bool setting_value_read(const struct setting *setting, struct text text, struct settings *settings,
                        struct failure *failure) {
    void *field = (char *)settings + setting->offset;
    return readers[setting->type](setting, text, settings, field, failure);
}

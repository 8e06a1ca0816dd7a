#include "cli/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096 }; // the kernel cuts it to net.core.somaxconn

static bool fail(const struct listen_address *address, const char *what, struct failure *failure) {
    return failure_set(failure, FAILURE_INVALID_SETTING, "cannot listen on %s: %s", address->text,
                       what);
}

static bool bind_and_listen(int descriptor, const struct sockaddr *to, socklen_t size) {
    return bind(descriptor, to, size) == 0 && listen(descriptor, BACKLOG) == 0;
}

// Closes without losing the reason why.
static void close_keeping_errno(int descriptor) {
    int reason = errno;
    close(descriptor);
    errno = reason;
}

static int open_tcp(const struct addrinfo *to) {
    int descriptor = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0)
        return -1;
    int on = 1;
    bool ok = setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
              (to->ai_family != AF_INET6 ||
               setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
              bind_and_listen(descriptor, to->ai_addr, to->ai_addrlen);
    if (ok)
        return descriptor;
    close_keeping_errno(descriptor);
    return -1;
}

static bool listen_tcp(const struct listen_address *address, int *ret_descriptor,
                       struct failure *failure) {
    char port[8];
    (void)snprintf(port, sizeof port, "%u", address->port);
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int error = getaddrinfo(address->host, port, &hints, &found);
    if (error)
        return fail(address, gai_strerror(error), failure);
    int descriptor = open_tcp(found);
    int reason = errno;
    freeaddrinfo(found);
    if (descriptor < 0)
        return fail(address, strerror(reason), failure);
    *ret_descriptor = descriptor;
    return true;
}

// Whether a socket is there on which nobody listens: what a killed server leaves behind.
static bool is_stale(const struct sockaddr_un *to) {
    struct stat status;
    if (lstat(to->sun_path, &status) != 0 || !S_ISSOCK(status.st_mode))
        return false;
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return false;
    bool refused =
        connect(probe, (const struct sockaddr *)to, sizeof *to) != 0 && errno == ECONNREFUSED;
    close(probe);
    return refused;
}

static bool listen_unix(const struct listen_address *address, int *ret_descriptor,
                        struct failure *failure) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (strlen(address->path) >= sizeof to.sun_path)
        return fail(address, "the path is longer than a Unix socket's may be (107 bytes)", failure);
    memcpy(to.sun_path, address->path, strlen(address->path) + 1);
    if (is_stale(&to))
        (void)unlink(to.sun_path); // bind tells when it is still there
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0)
        return fail(address, strerror(errno), failure);
    if (!bind_and_listen(descriptor, (const struct sockaddr *)&to, sizeof to)) {
        close_keeping_errno(descriptor);
        return fail(address, strerror(errno), failure);
    }
    *ret_descriptor = descriptor;
    return true;
}

static bool take_inherited(const struct listen_address *address, int *ret_descriptor,
                           struct failure *failure) {
    int listening = 0;
    socklen_t size = sizeof listening;
    if (getsockopt(address->descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0)
        return fail(address, strerror(errno), failure);
    if (!listening)
        return fail(address, "the inherited descriptor is no listening socket", failure);
    int flags = fcntl(address->descriptor, F_GETFL);
    if (flags < 0 || fcntl(address->descriptor, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(address->descriptor, F_SETFD, FD_CLOEXEC) != 0)
        return fail(address, strerror(errno), failure);
    *ret_descriptor = address->descriptor;
    return true;
}

bool listen_open(const struct listen_address *address, int *ret_descriptor,
                 struct failure *failure) {
    static bool (*const open_by_kind[])(const struct listen_address *, int *, struct failure *) = {
        [LISTEN_TCP] = listen_tcp,
        [LISTEN_UNIX] = listen_unix,
        [LISTEN_DESCRIPTOR] = take_inherited,
    };
    return open_by_kind[address->kind](address, ret_descriptor, failure);
}

void listen_describe(int descriptor, struct buffer *out) {
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    if (getsockname(descriptor, (struct sockaddr *)&bound, &size) != 0)
        buffer_append_string(out, "an unknown address");
    else if (bound.ss_family == AF_UNIX)
        buffer_format(out, "unix:%s", ((const struct sockaddr_un *)&bound)->sun_path);
    else if (getnameinfo((struct sockaddr *)&bound, size, host, sizeof host, port, sizeof port,
                         NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        buffer_format(out, bound.ss_family == AF_INET6 ? "http://[%s]:%s" : "http://%s:%s", host,
                      port);
}

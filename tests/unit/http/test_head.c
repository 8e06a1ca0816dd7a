// What a head must be like, and what becomes of one that is not: raw bytes in, status out, and
// whether the connection is served on.
#include "unit/http/harness.h"

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST /echo HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define RAW(text) text, sizeof(text) - 1

struct head_case {
    const char *bytes;
    size_t size;
    unsigned status;
    bool closed;
    const char *body; // NULL: any
};

static const struct head_case cases[] = {
    // Request lines.
    {RAW("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, false, "GET /?"},
    {RAW("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, false, "GET /?"},
    {RAW("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW(" GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET /  HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET / b HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET /\tHTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET /\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET /\r\n\r\n"), 400, true, NULL},
    {RAW("GET\r\n\r\n"), 400, true, NULL},
    {RAW("GET HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET  HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/1.1\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/1.1\rHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505, true, NULL},
    {RAW("GET / HTTP/0.9\r\nHost: a\r\n\r\n"), 505, true, NULL},
    {RAW("GET / HTTP/1.2\r\nHost: a\r\n\r\n"), 505, true, NULL},
    {RAW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505, true, NULL},
    {RAW("GET / HTTP/1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/1.10\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/11\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET / http/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/a.b\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET / RTSP/1.0\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET / ICE/1.0\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("\x16\x03\x01\x02"), 400, true, NULL}, // a client that speaks TLS learns it at once

    // Methods.
    {RAW("OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, false, "OPTIONS /?"},
    {RAW("PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, false, "PROPFIND /?"},
    {RAW("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, false, "TRACE /?"},
    {RAW("BREW / HTTP/1.1\r\nHost: a\r\n\r\n"), 501, true, NULL},
    {RAW("get / HTTP/1.1\r\nHost: a\r\n\r\n"), 501, true, NULL},
    {RAW("GETT / HTTP/1.1\r\nHost: a\r\n\r\n"), 501, true, NULL},
    {RAW("DESCRIBE / HTTP/1.1\r\nHost: a\r\n\r\n"), 501, true, NULL},
    {RAW("G@T / HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("G\xc3\x89T / HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"), 501, true, NULL},

    // Targets.
    {RAW("GET /a/b?c=d&e=%20 HTTP/1.1\r\nHost: a\r\n\r\n"), 200, false, "GET /a/b?c=d&e=%20"},
    {RAW("GET /a?b?c HTTP/1.1\r\nHost: a\r\n\r\n"), 200, false, "GET /a?b?c"},
    {RAW("GET //a HTTP/1.1\r\nHost: a\r\n\r\n"), 200, false, "GET //a?"},
    {RAW("GET /a?b[]=\"{|}\" HTTP/1.1\r\nHost: a\r\n\r\n"), 200, false, "GET /a?b[]=\"{|}\""},
    {RAW("GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n"), 200, false, "GET /b?c"},
    {RAW("GET HTTPS://a:443 HTTP/1.1\r\nHost: a\r\n\r\n"), 200, false, "GET /?"},
    {RAW("GET http://a?c HTTP/1.1\r\nHost: a\r\n\r\n"), 200, false, "GET /?c"},
    {RAW("GET http://[::1]:80/x HTTP/1.1\r\nHost: a\r\n\r\n"), 200, false, "GET /x?"},
    {RAW("GET http:///b HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET http://u@a/b HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET http://a:b/c HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET http://a/b HTTP/1.1\r\n\r\n"), 400, true, NULL},
    {RAW("GET ftp://a/b HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET a/b HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET ?b HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), 200, false, "OPTIONS *?"},
    {RAW("GET * HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("OPTIONS *a HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET /a\x7f HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET /a\x01 HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true, NULL},

    // Host.
    {RAW("GET / HTTP/1.1\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 400, true, NULL},
    {RAW("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n"), 200, false, NULL},
    {RAW("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/1.1\r\nhost: a.b-c_d~e%20:8080\r\n\r\n"), 200, false, NULL},
    {RAW("GET / HTTP/1.1\r\nHost:127.0.0.1:\r\n\r\n"), 200, false, NULL},
    {RAW("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"), 200, false, NULL},
    {RAW("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/1.1\r\nHost: []\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"), 200, false, NULL}, // a sub-delimiter in a name
    {RAW("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/1.1\r\nHost: a:-1\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/1.1\r\nHost: :80\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/1.1\r\nHost: a%2\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/1.0\r\n\r\n"), 200, true, NULL},
    {RAW("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/1.0\r\nHost: a b\r\n\r\n"), 400, true, NULL},

    // Fields.
    {RAW(GET "A: b\r\n\r\n"), 200, false, NULL},
    {RAW(GET "A:\r\n\r\n"), 200, false, NULL},
    {RAW(GET "A: \t b\tc\xff\xc3\xa4 \t\r\n\r\n"), 200, false, NULL},
    {RAW(GET "!#$%&'*+-.^_`|~09az: b\r\n\r\n"), 200, false, NULL},
    {RAW(GET "A : b\r\n\r\n"), 400, true, NULL},
    {RAW(GET "A\t: b\r\n\r\n"), 400, true, NULL},
    {RAW(GET " A: b\r\n\r\n"), 400, true, NULL},
    {RAW(GET ": b\r\n\r\n"), 400, true, NULL},
    {RAW(GET "A\r\n\r\n"), 400, true, NULL},
    {RAW(GET "A b: c\r\n\r\n"), 400, true, NULL},
    {RAW(GET "A(b): c\r\n\r\n"), 400, true, NULL},
    {RAW(GET "A\xc3\xa4: c\r\n\r\n"), 400, true, NULL},
    {RAW(GET "A\0: c\r\n\r\n"), 400, true, NULL},
    {RAW(GET "A: b\0c\r\n\r\n"), 400, true, NULL},
    {RAW(GET "A: b\x01\r\n\r\n"), 400, true, NULL},
    {RAW(GET "A: b\x7f\r\n\r\n"), 400, true, NULL},
    {RAW(GET "A: b\n\r\n"), 400, true, NULL},
    {RAW(GET "A: b\n\n"), 400, true, NULL},
    {RAW(GET "A: b\r\n\n"), 400, true, NULL},
    {RAW(GET "A: b\rC: d\r\n\r\n"), 400, true, NULL},
    {RAW(GET "A: b\r\r\n\r\n"), 400, true, NULL},
    {RAW(GET "A: b\r\n\rX\r\n\r\n"), 400, true, NULL},
    {RAW(GET "A: b\r\n c\r\n\r\n"), 400, true, NULL},
    {RAW(GET "A: b\r\n\tc\r\n\r\n"), 400, true, NULL},
    {RAW(GET " \r\n\r\n"), 400, true, NULL},
    {RAW("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), 400, true, NULL},

    // Framing fields.
    {RAW(POST "Content-Length: 3\r\n\r\nabc"), 200, false, "abc"},
    {RAW(POST "Content-Length:3  \r\n\r\nabc"), 200, false, "abc"},
    {RAW(POST "Content-Length: 0003\r\n\r\nabc"), 200, false, "abc"},
    {RAW(POST "Content-Length: 0\r\n\r\n"), 200, false, ""},
    {RAW(POST "\r\n"), 200, false, ""},
    {RAW(GET "Content-Length: 3\r\n\r\nabc"), 200, false, "GET /?"},
    {RAW(POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"), 400, true, NULL},
    {RAW(POST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), 400, true, NULL},
    {RAW(POST "Content-Length: 3, 3\r\n\r\nabc"), 400, true, NULL},
    {RAW(POST "Content-Length: 3,3\r\n\r\nabc"), 400, true, NULL},
    {RAW(POST "Content-Length: +3\r\n\r\nabc"), 400, true, NULL},
    {RAW(POST "Content-Length: -3\r\n\r\nabc"), 400, true, NULL},
    {RAW(POST "Content-Length: 0x3\r\n\r\nabc"), 400, true, NULL},
    {RAW(POST "Content-Length: 3a\r\n\r\nabc"), 400, true, NULL},
    {RAW(POST "Content-Length: 3 0\r\n\r\nabc"), 400, true, NULL},
    {RAW(POST "Content-Length: 3.0\r\n\r\nabc"), 400, true, NULL},
    {RAW(POST "Content-Length: \"3\"\r\n\r\nabc"), 400, true, NULL},
    {RAW(POST "Content-Length:\r\n\r\n"), 400, true, NULL},
    {RAW(POST "Content-Length: 18446744073709551616\r\n\r\n"), 400, true, NULL},
    {RAW(POST "Content-Length: 99999999999999999999999\r\n\r\n"), 400, true, NULL},
    {RAW(POST "Content-Length: 18446744073709551615\r\n\r\n"), 413, true, NULL},
    {RAW(POST "Content-Length: 200001\r\n\r\n"), 413, true, NULL},
    {RAW(POST "Content-Length : 3\r\n\r\nabc"), 400, true, NULL},
    {RAW(POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(POST "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n"), 200, false, ""},
    {RAW(POST "Transfer-Encoding: gzip\r\n\r\n"), 501, true, NULL},
    {RAW(POST "Transfer-Encoding: identity\r\n\r\n"), 501, true, NULL},
    {RAW(POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 501, true, NULL},
    {RAW(POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(POST "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(POST "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(POST "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(POST "Transfer-Encoding: \x0b"
              "chunked\r\n\r\n0\r\n\r\n"),
     400, true, NULL},
    {RAW(POST "Transfer-Encoding:\r\n\r\n"), 400, true, NULL},
    {RAW(POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), 501, true, NULL},
    {RAW(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400,
     true, NULL},
    {RAW(POST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400, true,
     NULL},
    {RAW("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400, true, NULL},

    // Chunks.
    {RAW(CHUNKED "3\r\nabc\r\n0\r\n\r\n"), 200, false, "abc"},
    {RAW(CHUNKED "3\r\nabc\r\nA\r\n0123456789\r\n000\r\n\r\n"), 200, false, "abc0123456789"},
    {RAW(CHUNKED "0003\r\nabc\r\n00\r\n\r\n"), 200, false, "abc"},
    {RAW(CHUNKED "3;a=\"b\"\r\nabc\r\n0;x\r\n\r\n"), 200, false, "abc"},
    {RAW(CHUNKED "0\r\nA: b\r\nC: d\r\n\r\n"), 200, false, ""},
    {RAW(CHUNKED "3\r\nabc\r\n0\r\nContent-Length: 7\r\nHost: b\r\n\r\n"), 200, false, "abc"},
    {RAW(CHUNKED "3\nabc\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "3\r\nabc\n0\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "3\r\nabc\r0\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "3\r\nabc\r\n0\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "3\r\nabc\r\n0\r\n\n"), 400, true, NULL},
    {RAW(CHUNKED "3\rabc\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "3;a\rb\r\nabc\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "3;a\nabc\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "3 \r\nabc\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED " 3\r\nabc\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "+3\r\nabc\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "-3\r\nabc\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "0x3\r\nabc\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "g\r\nabc\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "\r\nabc\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED ";a\r\nabc\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "3\r\nabcd\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "4\r\nabc\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "10000000000000003\r\nabc\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "3;\x01\r\nabc\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "3;\0\r\nabc\r\n0\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "0\r\nA : b\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "0\r\nA: b\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "0\r\nA: b\r\n c\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "0\r\n: b\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "0\r\nA: \x01\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "0\r\nA: b\rC: d\r\n\r\n"), 400, true, NULL},
    {RAW(CHUNKED "0\r\nA\r\n\r\n"), 400, true, NULL},

    // Connections.
    {RAW(GET "Connection: close\r\n\r\n"), 200, true, NULL},
    {RAW(GET "Connection: keep-alive, CLOSE\r\n\r\n"), 200, true, NULL},
    {RAW(GET "Connection: a\r\nConnection: close\r\n\r\n"), 200, true, NULL},
    {RAW("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), 200, false, NULL},
    {RAW(GET "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), 200, false, NULL},
    {RAW(GET "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n"),
     200, false, NULL},
    {RAW("GET /?close HTTP/1.1\r\nHost: a\r\n\r\n"), 200, true, NULL},

    // Expectations.
    {RAW(POST "Expect: 200-ok\r\nContent-Length: 3\r\n\r\nabc"), 417, true, NULL},
    {RAW(POST "Expect: 100-continue, x\r\nContent-Length: 3\r\n\r\nabc"), 417, true, NULL},
    {RAW(POST "Expect: 100-Continue\r\nContent-Length: 3\r\n\r\nabc"), 200, false, "abc"},
    {RAW(GET "Expect: 100-continue\r\n\r\n"), 200, false, NULL},
    {RAW("GET / HTTP/1.0\r\nExpect: x\r\n\r\n"), 200, true, NULL},

    // Garbage behind a request.
    {RAW(GET "\r\n\x01"), 200, true, "GET /?"},
    {RAW(POST "Content-Length: 3\r\n\r\nabcd\r\n\r\n"), 200, true, "abc"},
};

// Sends the case's bytes in two writes, cut at `cut`, and checks what comes back.
static void try_case(struct harness *harness, const struct head_case *c, size_t cut) {
    struct client client;
    size_t offset = 0;
    client_open(&client, harness);
    client_send(&client, c->bytes, cut);
    if (cut > 0 && cut < c->size) {
        for (int i = 0; i < 3; i++)
            client_pump(&client);
    }
    client_send(&client, c->bytes + cut, c->size - cut);
    struct reply reply = client_receive(&client, &offset, false);
    if (reply.status == 100)
        reply = client_receive(&client, &offset, false);
    bool closed = c->closed ? client_sees_end(&client) : !client_is_served(&client, &offset);
    bool says_close = text_contains(reply.head, "\r\nConnection: close\r\n");
    bool garbage_behind = c->closed && reply.status == 200 && !says_close;
    bool right = reply.status == c->status && closed == c->closed &&
                 (says_close == closed || garbage_behind) &&
                 (!c->body || text_is(reply.body, c->body));
    if (!right)
        fail_msg("case %td cut at %zu: %.*s\ngot %u %s instead of %u: %.*s", c - cases, cut,
                 (int)c->size, c->bytes, reply.status, closed ? "closed" : "open", c->status,
                 TEXT_ARGS(buffer_text(&client.in)));
    if (garbage_behind) {
        reply = client_receive(&client, &offset, false);
        assert_int_equal(reply.status, 400);
    }
    client_close(&client);
}

static void each_head_gets_its_answer(void **state) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        try_case(*state, &cases[i], cases[i].size);
}

static void a_cut_anywhere_changes_nothing(void **state) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t cut = 0; cut < cases[i].size; cut++)
            try_case(*state, &cases[i], cut);
    }
}

static void send_head_of(struct client *client, const char *start, size_t filler,
                         const char *finish) {
    struct buffer bytes = {0};
    buffer_append_string(&bytes, start);
    for (size_t i = 0; i < filler; i++)
        buffer_append_byte(&bytes, 'a');
    buffer_append_string(&bytes, finish);
    client_send(client, bytes.data, bytes.size);
    buffer_free(&bytes);
}

static unsigned status_of(struct harness *harness, const char *start, size_t filler,
                          const char *finish) {
    struct client client;
    size_t offset = 0;
    client_open(&client, harness);
    send_head_of(&client, start, filler, finish);
    unsigned status = client_receive(&client, &offset, false).status;
    assert_true(status == 200 || client_sees_end(&client));
    client_close(&client);
    return status;
}

static void heads_have_a_bound(void **state) {
    static const char target[] = "GET /";
    static const char after_target[] = " HTTP/1.1\r\nHost: a\r\n\r\n";
    size_t rest = sizeof target - 1 + sizeof after_target - 1;
    assert_int_equal(status_of(*state, target, 4096 - rest, after_target), 200);
    assert_int_equal(status_of(*state, target, 4096 - rest + 1, after_target), 431);
    assert_int_equal(status_of(*state, target, 4096, after_target), 414);
    assert_int_equal(status_of(*state, target, 100000, after_target), 414);
    assert_int_equal(status_of(*state, "", 5000, " / HTTP/1.1\r\n\r\n"), 431);
    assert_int_equal(status_of(*state, GET "A: ", 4000, "\r\n\r\n"), 200);
    assert_int_equal(status_of(*state, GET "A: ", 5000, "\r\n\r\n"), 431);
    assert_int_equal(status_of(*state, GET "A: ", 500000, "\r\n\r\n"), 431);
    assert_int_equal(status_of(*state, CHUNKED "3;", 3000, "\r\nabc\r\n0\r\n\r\n"), 200);
    assert_int_equal(status_of(*state, CHUNKED "3;", 500000, "\r\nabc\r\n0\r\n\r\n"), 431);
    assert_int_equal(status_of(*state, CHUNKED "0\r\nA: ", 3000, "\r\n\r\n"), 200);
    assert_int_equal(status_of(*state, CHUNKED "0\r\nA: ", 5000, "\r\n\r\n"), 431);
}

static void many_fields_are_all_there(void **state) {
    struct client client;
    size_t offset = 0;
    client_open(&client, *state);
    client_send_string(&client, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < 600; i++)
        client_send_string(&client, "a:b\r\n");
    client_send_string(&client, "Host: a\r\n\r\n");
    assert_int_equal(client_receive(&client, &offset, false).status, 200);
    assert_true(client_is_served(&client, &offset));
    client_close(&client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_head_gets_its_answer),
        cmocka_unit_test(a_cut_anywhere_changes_nothing),
        cmocka_unit_test(heads_have_a_bound),
        cmocka_unit_test(many_fields_are_all_there),
    };
    return cmocka_run_group_tests(tests, setup_started, teardown);
}

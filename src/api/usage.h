// How often API keys are used. A worker counts in memory, by key and day, and writes what it has
// counted a few times a second: to the keys themselves and to the days of trestle_key_usage. What
// cannot be written is kept and added later. It belongs to its service, and to its loop's thread.
#pragma once

#include "api/api_key.h"
#include "base/log.h"
#include "resource/dialect.h"

#include <uv.h>

// Milliseconds from the first request that is counted until that is written, and after a failure,
// which doubles up to a bound.
enum { USAGE_INTERVAL = 400, USAGE_RETRY = 500, USAGE_RETRY_MOST = 16000 };

// Keys and days that are counted at the same time; requests beyond them are not. And how many of
// them one job writes.
enum { USAGE_ROOM = 4096, USAGE_BATCH = 64 };

// Days (UTC) for which the counts are kept.
enum { USAGE_DAYS = 400 };

enum { USAGE_CLASSES = 4 }; // 2xx to 5xx

// One key on one day.
struct usage_entry {
    char id[API_KEY_ID_SIZE];
    int32_t day; // since 1970-01-01
    uint64_t requests;
    uint64_t classes[USAGE_CLASSES];
    int64_t last_used_at;
};

struct usage_table {
    struct usage_entry *entries; // USAGE_ROOM of them, of which the first `count` are in use
    uint16_t *slots;             // a hash table of their places, counted from 1; 0: free
    size_t count;
};

// The parameters of a batch: of each entry, those of the key and those of the day.
enum { USAGE_KEY_PARAMETERS = 3, USAGE_DAY_PARAMETERS = 8 };

struct usage_writing {
    struct job job;
    struct call calls[2 * USAGE_BATCH];
    struct value of_keys[USAGE_BATCH][USAGE_KEY_PARAMETERS];
    struct value of_days[USAGE_BATCH][USAGE_DAY_PARAMETERS];
    char days[USAGE_BATCH][24]; // texts of the parameters
    char instants[USAGE_BATCH][24];
    size_t from; // the entries that the job that is out writes
    size_t to;
};

struct usage {
    struct store_session *session;
    struct log *log;
    struct statement count_key; // (requests, last_used_at, id)
    struct statement count_day; // (id, day, requests, the classes, last_used_at)
    struct statement forget; // (day, count): so many of the days before that one, for the sweeper
    struct usage_table tables[2];
    struct usage_table *counting;
    struct usage_table *flushing;
    struct usage_writing *writing;
    uv_timer_t timer;
    bool is_out; // the job
    unsigned retry;
    bool failing;  // it was said
    uint64_t lost; // requests that were not counted, and nobody was told so
    bool stopping;
    void (*on_stopped)(void *owner);
    void *owner;
};

// Makes the statements, whose texts belong to the arena. False when there is no memory.
bool usage_open(struct usage *usage, struct arena *arena, const struct dialect *dialect,
                struct log *log);

// Begins to write what is counted; the session must be there until usage_stop has stopped it.
void usage_start(struct usage *usage, uv_loop_t *loop, struct store_session *session);

// Counts a request with a key (`id`: API_KEY_ID_SIZE bytes) that came at `now` (milliseconds since
// 1970) and was answered with an HTTP status.
void usage_count(struct usage *usage, const char *id, int64_t now, unsigned status);

// Writes what is left, then calls on_stopped. What cannot be written is lost, and the log says so.
void usage_stop(struct usage *usage, void (*on_stopped)(void *owner), void *owner);

// Takes zeroed memory; it was not started, or has stopped.
void usage_close(struct usage *usage);

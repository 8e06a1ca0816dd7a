#include "api/secrets.h"

#include "base/random.h"

enum { HEX_SIZE = 2 * DIGEST_SIZE };

static const char admin_name[] = "admin_key_sha256";
static const char cursor_name[] = "cursor_key";

// Writes a number, big end first and lent in `bytes` (which it uses up), as `count` base-62 digits.
static void base62(unsigned char *bytes, size_t size, char *out, size_t count) {
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    while (count--) {
        unsigned rest = 0;
        for (size_t i = 0; i < size; i++) {
            unsigned part = rest << 8 | bytes[i];
            bytes[i] = (unsigned char)(part / 62);
            rest = part % 62;
        }
        out[count] = digits[rest];
    }
}

// CRC-32 as in ISO 3309: it catches typing errors, it protects nothing.
static uint32_t crc32_of(struct text text) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < text.size; i++) {
        crc ^= (unsigned char)text.data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (UINT32_C(0xEDB88320) & (0 - (crc & 1)));
    }
    return ~crc;
}

enum { BODY_SIZE = 3 + 43, CHECK_SIZE = 6 };

// The check digits of what stands before them.
static void make_check(const char *body, char out[CHECK_SIZE]) {
    uint32_t crc = crc32_of(text_of(body, BODY_SIZE));
    unsigned char check[4] = {(unsigned char)(crc >> 24), (unsigned char)(crc >> 16),
                              (unsigned char)(crc >> 8), (unsigned char)crc};
    base62(check, sizeof check, out, CHECK_SIZE);
}

bool secret_make(char out[SECRET_SIZE]) {
    unsigned char bytes[32];
    if (!random_bytes(bytes, sizeof bytes))
        return false;
    memcpy(out, "tr_", 3);
    base62(bytes, sizeof bytes, out + 3, 43);
    make_check(out, out + BODY_SIZE);
    out[SECRET_SIZE - 1] = '\0';
    return true;
}

bool secret_is_well_formed(struct text text) {
    char check[CHECK_SIZE];
    if (text.size != SECRET_SIZE - 1 || !text_starts_with(text, TEXT("tr_")))
        return false;
    make_check(text.data, check);
    return memcmp(check, text.data + BODY_SIZE, CHECK_SIZE) == 0;
}

static bool is_digit(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

struct text secret_prefix(struct text presented) {
    struct text none = TEXT("");
    if (presented.size != SECRET_SIZE - 1 || !text_starts_with(presented, TEXT("tr_")))
        return none;
    for (size_t i = strlen("tr_"); i < presented.size; i++) {
        if (!is_digit(presented.data[i]))
            return none;
    }
    return text_of(presented.data, SECRET_PREFIX_SIZE);
}

struct meta {
    struct store *store;
    struct arena arena;
    struct meta_plan plan;
    char found[HEX_SIZE]; // the value that was read
    bool is_found;
};

static bool on_row(struct job *job, size_t call, const struct value *cells) {
    (void)call;
    struct meta *meta = job->owner;
    meta->is_found = cells[0].kind == VALUE_TEXT && cells[0].text.size == HEX_SIZE;
    if (meta->is_found)
        memcpy(meta->found, cells[0].text.data, HEX_SIZE);
    return true;
}

static void on_restart(struct job *job) {
    struct meta *meta = job->owner;
    meta->is_found = false;
}

static bool run(struct meta *meta, enum job_kind kind, struct call *calls, size_t count,
                struct failure *failure) {
    struct job job = {.kind = kind,
                      .calls = calls,
                      .call_count = count,
                      .owner = meta,
                      .on_row = on_row,
                      .on_restart = on_restart};
    return store_run(meta->store, &job, failure);
}

// Reads a secret of DIGEST_SIZE bytes; false and FAILURE_NONE where there is none.
static bool read_secret(struct meta *meta, const char *name, unsigned char *out,
                        struct failure *failure) {
    struct value parameter = value_text(VALUE_TEXT, text_from_string(name));
    struct call call = {.statement = &meta->plan.read,
                        .parameters = &parameter,
                        .parameter_count = 1,
                        .expect = EXPECT_ANY};
    meta->is_found = false;
    failure->code = FAILURE_NONE;
    if (!run(meta, JOB_READ, &call, 1, failure))
        return false;
    return meta->is_found && text_hex_decode(text_of(meta->found, HEX_SIZE), out, DIGEST_SIZE);
}

// Stores a secret by one of the plan's statements, and has other processes see it.
static bool write_secret(struct meta *meta, const struct statement *statement, const char *name,
                         const unsigned char *secret, struct failure *failure) {
    char hex[HEX_SIZE];
    text_hex_encode(secret, DIGEST_SIZE, hex);
    struct value parameters[2] = {value_text(VALUE_TEXT, text_from_string(name)),
                                  value_text(VALUE_TEXT, text_of(hex, HEX_SIZE))};
    struct call calls[2] = {{.statement = statement,
                             .parameters = parameters,
                             .parameter_count = 2,
                             .expect = EXPECT_ANY},
                            {.statement = &meta->plan.raise, .expect = EXPECT_ANY}};
    return run(meta, JOB_WRITE, calls, 2, failure);
}

// Stores a secret unless another process was quicker, and reads back the one that counts.
static bool settle_secret(struct meta *meta, const char *name, unsigned char *secret,
                          struct failure *failure) {
    if (!write_secret(meta, &meta->plan.insert, name, secret, failure))
        return false;
    if (read_secret(meta, name, secret, failure))
        return true;
    return failure->code != FAILURE_NONE ||
           failure_set(failure, FAILURE_INTERNAL, "%s in trestle_meta is not 64 hexadecimal digits",
                       name);
}

static bool load_cursor_key(struct meta *meta, unsigned char *key, struct failure *failure) {
    if (read_secret(meta, cursor_name, key, failure))
        return true;
    if (failure->code != FAILURE_NONE)
        return false;
    if (!random_bytes(key, DIGEST_SIZE))
        return failure_set(failure, FAILURE_INTERNAL, "the kernel gives no randomness");
    return settle_secret(meta, cursor_name, key, failure);
}

// A configured key is stored where it is not the one that is there.
static bool set_admin_key(struct meta *meta, struct text admin_key, unsigned char *digest,
                          struct failure *failure) {
    unsigned char stored[DIGEST_SIZE];
    if (!digest_sha256(admin_key, digest))
        return failure_out_of_memory(failure);
    if (read_secret(meta, admin_name, stored, failure) && digest_equal(stored, digest, DIGEST_SIZE))
        return true;
    return failure->code == FAILURE_NONE &&
           write_secret(meta, &meta->plan.replace, admin_name, digest, failure);
}

static bool load_admin_key(struct meta *meta, struct text admin_key, unsigned char *digest,
                           char made_key[SECRET_SIZE], struct failure *failure) {
    if (admin_key.size)
        return set_admin_key(meta, admin_key, digest, failure);
    if (read_secret(meta, admin_name, digest, failure))
        return true;
    if (failure->code != FAILURE_NONE)
        return false;
    if (!secret_make(made_key))
        return failure_set(failure, FAILURE_INTERNAL, "the kernel gives no randomness");
    unsigned char made_digest[DIGEST_SIZE];
    if (!digest_sha256(text_from_string(made_key), made_digest))
        return failure_out_of_memory(failure);
    memcpy(digest, made_digest, DIGEST_SIZE);
    if (!settle_secret(meta, admin_name, digest, failure))
        return false;
    if (!digest_equal(digest, made_digest, DIGEST_SIZE))
        made_key[0] = '\0'; // another process made one at the same time, and showed it
    return true;
}

bool secrets_load(struct store *store, struct text admin_key, struct secrets *ret_secrets,
                  char ret_made_key[SECRET_SIZE], struct failure *failure) {
    struct meta meta = {.store = store};
    struct secrets secrets = {0};
    char made_key[SECRET_SIZE] = "";
    bool ok = meta_plan_make(&meta.arena, dialect_of(store_dialect(store)), &meta.plan) ||
              failure_out_of_memory(failure);
    ok = ok && load_cursor_key(&meta, secrets.cursor_key, failure) &&
         load_admin_key(&meta, admin_key, secrets.admin_digest, made_key, failure);
    arena_free(&meta.arena);
    if (ok) {
        *ret_secrets = secrets;
        memcpy(ret_made_key, made_key, SECRET_SIZE);
    }
    return ok;
}

// --- watching

static struct watched_secrets *secrets_of(struct watched *base) {
    return (struct watched_secrets *)base; // its first member
}

static void begin_reading(struct watched *base) {
    struct watched_secrets *watched = secrets_of(base);
    watched->found = watched->secrets; // what is not there, or is none, goes on to count
}

static bool take_row(struct watched *base, size_t call, const struct value *cells) {
    (void)call;
    struct secrets *found = &secrets_of(base)->found;
    unsigned char *secret = NULL;
    unsigned char bytes[DIGEST_SIZE];
    if (text_is(cells[0].text, admin_name))
        secret = found->admin_digest;
    else if (text_is(cells[0].text, cursor_name))
        secret = found->cursor_key;
    if (secret && text_hex_decode(cells[1].text, bytes, sizeof bytes))
        memcpy(secret, bytes, sizeof bytes);
    return true;
}

static bool hand_on(struct watched *base) {
    struct watched_secrets *watched = secrets_of(base);
    bool same =
        digest_equal(watched->found.admin_digest, watched->secrets.admin_digest, DIGEST_SIZE) &&
        digest_equal(watched->found.cursor_key, watched->secrets.cursor_key, DIGEST_SIZE);
    if (!same && !watched->on_secrets(watched->owner, &watched->found))
        return false;
    watched->secrets = watched->found;
    return true;
}

bool watched_secrets_init(struct watched_secrets *watched, enum store_dialect dialect,
                          const struct secrets *secrets,
                          bool (*on_secrets)(void *owner, const struct secrets *secrets),
                          void *owner) {
    *watched =
        (struct watched_secrets){.secrets = *secrets, .on_secrets = on_secrets, .owner = owner};
    if (!meta_plan_make(&watched->arena, dialect_of(dialect), &watched->plan)) {
        arena_free(&watched->arena);
        return false;
    }
    watched->call = (struct call){.statement = &watched->plan.list, .expect = EXPECT_ANY};
    watched->base = (struct watched){.calls = &watched->call,
                                     .call_count = 1,
                                     .on_begin = begin_reading,
                                     .on_row = take_row,
                                     .on_changed = hand_on};
    return true;
}

void watched_secrets_free(struct watched_secrets *watched) {
    arena_free(&watched->arena);
}

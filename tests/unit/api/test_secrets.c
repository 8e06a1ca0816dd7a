#include "api/secrets.h"

#include "store/scripted_store.h"
#include "unit/allocation.h"
#include "unit/testing.h"

static void made_keys_have_their_form(void **state) {
    char first[SECRET_SIZE];
    char second[SECRET_SIZE];
    assert_true(secret_make(first));
    assert_true(secret_make(second));
    assert_int_equal(strlen(first), SECRET_SIZE - 1);
    assert_memory_equal(first, "tr_", 3);
    assert_int_equal(
        strspn(first + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
        SECRET_SIZE - 4);
    assert_memory_not_equal(first, second, SECRET_SIZE);
}

static void typing_errors_are_seen(void **state) {
    char secret[SECRET_SIZE];
    for (int n = 0; n < 20; n++) {
        assert_true(secret_make(secret));
        struct text text = text_of(secret, SECRET_SIZE - 1);
        assert_true(secret_is_well_formed(text));
        // One character more or less.
        assert_false(secret_is_well_formed(text_of(secret, SECRET_SIZE)));
        assert_false(secret_is_well_formed(text_of(secret, SECRET_SIZE - 2)));
        assert_false(secret_is_well_formed(text_of(secret + 1, SECRET_SIZE - 2)));
        for (size_t i = 0; i < text.size; i++) {
            // Another one in its place, and two that changed places.
            char kept = secret[i];
            secret[i] = kept == 'x' ? 'y' : 'x';
            assert_false(secret_is_well_formed(text));
            secret[i] = kept;
            if (i + 1 == text.size || secret[i + 1] == kept)
                continue;
            secret[i] = secret[i + 1];
            secret[i + 1] = kept;
            assert_false(secret_is_well_formed(text));
            secret[i + 1] = secret[i];
            secret[i] = kept;
        }
    }
    assert_false(secret_is_well_formed(TEXT("")));
    assert_false(secret_is_well_formed(TEXT("tr_")));
}

// Secret scanners know them by a pattern and this check.
static void the_check_is_what_it_is_said_to_be(void **state) {
    assert_true(
        secret_is_well_formed(TEXT("tr_6k3mZVBuxN2NwexZxWs2nitNiIwUAqxXGkliR1EQmEP12W1pg")));
    assert_false(
        secret_is_well_formed(TEXT("tr_6k3mZVBuxN2NwexZxWs2nitNiIwUAqxXGkliR1EQmEP12W1ph")));
}

// --- loading

static const char other_hex[] = "00000000000000000000000000000000000000000000000000000000000000ff";

static char digest_hex[2 * DIGEST_SIZE + 1]; // of "the configured key"
static struct value digest_cell[1];
static struct value other_cell[1];
static struct value broken_cell[1];

static int make_cells(void **state) {
    unsigned char digest[DIGEST_SIZE];
    assert_true(digest_sha256(TEXT("the configured key"), digest));
    text_hex_encode(digest, DIGEST_SIZE, digest_hex);
    digest_cell[0] = value_text(VALUE_TEXT, text_from_string(digest_hex));
    other_cell[0] = value_text(VALUE_TEXT, text_from_string(other_hex));
    broken_cell[0] = value_text(VALUE_TEXT, TEXT("no digest"));
    return 0;
}

// Loads with a script, all of which must be asked for.
static bool load(const struct scripted_job *script, size_t count, const char *key,
                 struct secrets *ret_secrets, char made_key[SECRET_SIZE]) {
    struct failure failure;
    struct store *store = scripted_store_open(STORE_POSTGRES, script, count, &failure);
    assert_non_null(store);
    bool loaded = secrets_load(store, text_from_string(key), ret_secrets, made_key, &failure);
    assert_string_equal(scripted_store_difference(store), "");
    assert_int_equal(scripted_store_left(store), 0);
    store_close(store);
    return loaded;
}

static const struct scripted_call read_other = {
    .sql = "SELECT value", .cells = other_cell, .row_count = 1};
static const struct scripted_call read_digest = {
    .sql = "SELECT value", .cells = digest_cell, .row_count = 1};
static const struct scripted_call read_broken = {
    .sql = "SELECT value", .cells = broken_cell, .row_count = 1};
static const struct scripted_call read_nothing = {.sql = "SELECT value"};

// Whoever stores a key has the others see it, in the same job and last.
static const struct scripted_call replace_and_raise[] = {
    {.sql = "DO UPDATE SET value = excluded.value"}, {.sql = "RETURNING pg_notify('trestle', '')"}};
static const struct scripted_call insert_and_raise[] = {
    {.sql = "DO NOTHING"}, {.sql = "RETURNING pg_notify('trestle', '')"}};

static void the_configured_key_is_stored_where_it_is_not(void **state) {
    const struct scripted_call *found[] = {&read_other, &read_broken, &read_nothing};
    for (size_t i = 0; i < 3; i++) {
        const struct scripted_job script[] = {{.calls = &read_other, .call_count = 1},
                                              {.calls = found[i], .call_count = 1},
                                              {.calls = replace_and_raise, .call_count = 2}};
        struct secrets secrets;
        char made_key[SECRET_SIZE];
        char hex[2 * DIGEST_SIZE];
        assert_true(load(script, 3, "the configured key", &secrets, made_key));
        assert_string_equal(made_key, "");
        text_hex_encode(secrets.admin_digest, DIGEST_SIZE, hex);
        assert_memory_equal(hex, digest_hex, sizeof hex);
        assert_int_equal(secrets.cursor_key[DIGEST_SIZE - 1], 0xff);
    }
}

static void a_configured_key_that_is_stored_changes_nothing(void **state) {
    const struct scripted_job script[] = {{.calls = &read_other, .call_count = 1},
                                          {.calls = &read_digest, .call_count = 1}};
    struct secrets secrets;
    char made_key[SECRET_SIZE];
    assert_true(load(script, 2, "the configured key", &secrets, made_key));
}

static void a_key_that_cannot_be_stored_is_not_served_with(void **state) {
    struct scripted_job script[] = {
        {.calls = &read_other, .call_count = 1},
        {.calls = &read_other, .call_count = 1},
        {.calls = replace_and_raise, .call_count = 2, .outcome = {.kind = OUTCOME_FULL}}};
    struct secrets secrets;
    char made_key[SECRET_SIZE];
    assert_false(load(script, 3, "the configured key", &secrets, made_key));
    script[1].outcome.kind = OUTCOME_UNAVAILABLE;
    assert_false(load(script, 2, "the configured key", &secrets, made_key));
}

static void a_made_key_is_seen_by_others(void **state) {
    const struct scripted_job script[] = {
        {.calls = &read_nothing, .call_count = 1},    {.calls = insert_and_raise, .call_count = 2},
        {.calls = &read_other, .call_count = 1},      {.calls = &read_nothing, .call_count = 1},
        {.calls = insert_and_raise, .call_count = 2}, {.calls = &read_other, .call_count = 1}};
    struct secrets secrets;
    char made_key[SECRET_SIZE];
    assert_true(load(script, 6, "", &secrets, made_key));
    assert_string_equal(made_key, ""); // another process was quicker
    assert_int_equal(secrets.admin_digest[DIGEST_SIZE - 1], 0xff);
}

// --- watching

struct receiver {
    struct secrets got;
    unsigned times;
    bool refuses;
};

static bool on_secrets(void *owner, const struct secrets *secrets) {
    struct receiver *receiver = owner;
    if (receiver->refuses)
        return false;
    receiver->got = *secrets;
    receiver->times++;
    return true;
}

static void give_row(struct watched_secrets *watched, const char *name, const char *value) {
    const struct value cells[] = {value_text(VALUE_TEXT, text_from_string(name)),
                                  value_text(VALUE_TEXT, text_from_string(value))};
    assert_true(watched->base.on_row(&watched->base, 0, cells));
}

static bool finish(struct watched_secrets *watched) {
    return watched->base.on_changed(&watched->base);
}

static void only_new_secrets_are_handed_on(void **state) {
    struct receiver receiver = {.times = 0};
    struct secrets secrets = {.admin_digest = {1}, .cursor_key = {2}};
    struct watched_secrets watched;
    struct watched *base = &watched.base;
    assert_true(watched_secrets_init(&watched, STORE_SQLITE, &secrets, on_secrets, &receiver));
    assert_int_equal(base->call_count, 1);

    // Nothing is there, or nothing of it is a secret.
    base->on_begin(base);
    assert_true(finish(&watched));
    base->on_begin(base);
    give_row(&watched, "admin_key_sha256", "ffff");
    give_row(&watched, "admin_key_sha256",
             "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffg");
    give_row(&watched, "cursor_key", "");
    give_row(&watched, "something else", other_hex);
    assert_true(finish(&watched));
    assert_int_equal(receiver.times, 0);

    // One of them, then the other; twice.
    for (size_t i = 0; i < 2; i++) {
        base->on_begin(base);
        give_row(&watched, "admin_key_sha256", digest_hex);
        assert_true(finish(&watched));
    }
    assert_int_equal(receiver.times, 1);
    assert_int_equal(receiver.got.cursor_key[0], 2);
    for (size_t i = 0; i < 2; i++) {
        base->on_begin(base);
        give_row(&watched, "admin_key_sha256", digest_hex);
        give_row(&watched, "cursor_key", other_hex);
        assert_true(finish(&watched));
    }
    assert_int_equal(receiver.times, 2);
    assert_int_equal(receiver.got.cursor_key[DIGEST_SIZE - 1], 0xff);

    // A reading that was broken off leaves nothing behind.
    base->on_begin(base);
    give_row(&watched, "admin_key_sha256", other_hex);
    base->on_begin(base);
    assert_true(finish(&watched));
    assert_int_equal(receiver.times, 2);

    // What could not be handed on is new the next time, too.
    receiver.refuses = true;
    for (size_t i = 0; i < 2; i++) {
        base->on_begin(base);
        give_row(&watched, "admin_key_sha256", other_hex);
        assert_int_equal(finish(&watched), i == 1);
        receiver.refuses = false;
    }
    assert_int_equal(receiver.times, 3);
    watched_secrets_free(&watched);
}

static void without_memory_secrets_are_not_watched(void **state) {
    struct secrets secrets = {.admin_digest = {1}};
    for (ALLOCATION_FAILURES(nth)) {
        struct watched_secrets watched;
        bool made = watched_secrets_init(&watched, STORE_POSTGRES, &secrets, on_secrets, NULL);
        bool failed = allocation_allow();
        assert_true(made || failed);
        if (made)
            watched_secrets_free(&watched);
        if (!failed)
            break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_keys_have_their_form),
        cmocka_unit_test(typing_errors_are_seen),
        cmocka_unit_test(the_check_is_what_it_is_said_to_be),
        cmocka_unit_test(the_configured_key_is_stored_where_it_is_not),
        cmocka_unit_test(a_configured_key_that_is_stored_changes_nothing),
        cmocka_unit_test(a_key_that_cannot_be_stored_is_not_served_with),
        cmocka_unit_test(a_made_key_is_seen_by_others),
        cmocka_unit_test(only_new_secrets_are_handed_on),
        cmocka_unit_test(without_memory_secrets_are_not_watched),
    };
    return cmocka_run_group_tests(tests, make_cells, NULL);
}

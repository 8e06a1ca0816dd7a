#include "api/keyring.h"

static struct keyring *keyring_of(struct watched *watched) {
    return (struct keyring *)watched; // its first member
}

static bool on_changed(struct watched *watched) {
    keyring_note_change(keyring_of(watched));
    return true;
}

// The changes are noted first: who sees this moment sees them.
static void on_seen(struct watched *watched, uint64_t moment) {
    struct keyring *keyring = keyring_of(watched);
    if (moment - keyring_seen(keyring) > KEYRING_GAP)
        keyring_note_change(keyring);
    atomic_store(&keyring->seen, moment);
}

void keyring_init(struct keyring *keyring) {
    keyring->watched = (struct watched){.on_changed = on_changed, .on_seen = on_seen};
}

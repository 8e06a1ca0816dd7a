// Reads the value of one setting from the form in which users write it.
#pragma once

#include "cli/settings.h"

// Reads `text` as the setting's type into its member of `settings`; strings are put into the
// settings' arena. A failure (FAILURE_INVALID_SETTING) says what would be right, and quotes the
// text only where it is no secret. The member is untouched then.
bool setting_value_read(const struct setting *setting, struct text text, struct settings *settings,
                        struct failure *failure);

// "8388608", "8MiB", "8M", "8k": bytes; every unit is a power of 1024. False where it is none, or
// does not fit 64 bits.
bool setting_size_parse(struct text text, uint64_t *ret_bytes);

// "500ms", "30s", "2m", "1h", "1d", and "0": milliseconds. False where it is none, or does not fit.
bool setting_duration_parse(struct text text, uint64_t *ret_ms);

// The same, for messages: the largest unit that divides it.
void setting_size_format(uint64_t bytes, char out[32]);
void setting_duration_format(uint64_t ms, char out[32]);

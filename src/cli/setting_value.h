// Reads the value of one setting from the form in which users write it.
#pragma once

#include "cli/settings.h"

// Reads `text` as the setting's type into its member of `settings`; strings are put into the
// settings' arena. A failure (FAILURE_INVALID_SETTING) says what would be right, and quotes the
// text only where it is no secret. The member is untouched then.
bool setting_value_read(const struct setting *setting, struct text text, struct settings *settings,
                        struct failure *failure);

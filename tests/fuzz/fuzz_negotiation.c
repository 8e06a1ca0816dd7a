// The values of Accept, Accept-Encoding and Prefer: nothing may crash, and what is found lies
// within the value.
#include "fuzz/fuzz.h"

#include "api/accept.h"
#include "api/prefer.h"
#include "http/field_list.h"

#include <stdlib.h>

static void require(bool condition) {
    if (!condition)
        abort();
}

static bool is_within(struct text part, struct text whole) {
    return !part.data ||
           (part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

static void check_list(struct text input) {
    struct text rest = input;
    struct text part;
    while (field_list_next(&rest, ',', &part)) {
        struct field_parameter parameter;
        unsigned weight = 0;
        require(part.size > 0 && is_within(part, input));
        if (!field_parameter_read(part, &parameter))
            continue;
        require(parameter.name.size > 0 && is_within(parameter.name, part));
        require(is_within(parameter.value, part));
        if (parameter.value.data && field_weight_read(parameter.value, &weight))
            require(weight <= 1000);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct text input = text_of((const char *)data, size);
    struct preferences preferences;
    check_list(input);
    require(accept_media_weight(input, TEXT("application/json")) <= 1000);
    require(accept_coding_weight(input, TEXT("gzip")) <= 1000);
    prefer_read(input, &preferences);
    require(is_within(preferences.other, input));
    require(preferences.asked < 1U << PREFERENCES && preferences.wait <= PREFER_WAIT_MOST);
    return 0;
}

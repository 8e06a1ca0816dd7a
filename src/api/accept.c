#include "api/accept.h"

#include "http/field_list.h"

enum { WEIGHT_FULL = 1000 };

// How narrowly a range takes in a media type.
enum width {
    WIDTH_NONE,
    WIDTH_ALL,       // */*
    WIDTH_KIND,      // application/*
    WIDTH_PARAMETER, // application/json;version=2
    WIDTH_EXACT,     // application/json
};

static enum width width_of(struct text range, struct text type) {
    struct text subtype = type;
    struct text kind;
    if (text_is(range, "*/*"))
        return WIDTH_ALL;
    if (text_equal_ignoring_case(range, type))
        return WIDTH_EXACT;
    text_split(&subtype, '/', &kind);
    bool whole_kind = range.size == kind.size + 2 && range.data[kind.size] == '/' &&
                      range.data[kind.size + 1] == '*';
    return whole_kind && text_equal_ignoring_case(text_of(range.data, kind.size), kind)
               ? WIDTH_KIND
               : WIDTH_NONE;
}

static bool says_nothing(const struct field_parameter *parameter) {
    return text_equal_ignoring_case(parameter->name, TEXT("charset")) && parameter->value.data &&
           text_equal_ignoring_case(parameter->value, TEXT("utf-8"));
}

// Reads what stands behind a name: its weight, and whether other parameters do. False where the
// weight is none. What follows the weight means nothing any more (section 12.5.1).
static bool read_parameters(struct text rest, unsigned *ret_weight, bool *ret_has_others) {
    struct text part;
    *ret_weight = WEIGHT_FULL;
    *ret_has_others = false;
    while (field_list_next(&rest, ';', &part)) {
        struct field_parameter parameter;
        bool readable = field_parameter_read(part, &parameter);
        if (readable && text_equal_ignoring_case(parameter.name, TEXT("q")))
            return parameter.value.data && field_weight_read(parameter.value, ret_weight);
        if (!readable || !says_nothing(&parameter))
            *ret_has_others = true;
    }
    return true;
}

unsigned accept_media_weight(struct text accept, struct text type) {
    enum width narrowest = WIDTH_NONE;
    unsigned weight = 0;
    struct text member;
    while (field_list_next(&accept, ',', &member)) {
        struct text range;
        unsigned own;
        bool has_others;
        if (!field_list_next(&member, ';', &range) || !read_parameters(member, &own, &has_others))
            continue;
        enum width width = width_of(range, type);
        if (width == WIDTH_EXACT && has_others)
            width = WIDTH_PARAMETER;
        if (width == WIDTH_NONE || width < narrowest)
            continue;
        weight = width == narrowest && weight > own ? weight : own;
        narrowest = width;
    }
    return weight;
}

static bool is_coding(struct text name, struct text coding) {
    return text_equal_ignoring_case(name, coding) ||
           (text_is(coding, "gzip") && text_equal_ignoring_case(name, TEXT("x-gzip")));
}

// The weight of the first member that names a coding; false where none does.
static bool find_coding(struct text accepted, struct text coding, unsigned *ret_weight) {
    struct text member;
    while (field_list_next(&accepted, ',', &member)) {
        struct text name;
        unsigned weight;
        bool has_others;
        if (!field_list_next(&member, ';', &name) || !is_coding(name, coding) ||
            !read_parameters(member, &weight, &has_others))
            continue;
        *ret_weight = weight;
        return true;
    }
    return false;
}

unsigned accept_coding_weight(struct text accepted, struct text coding) {
    unsigned weight = text_is(coding, "identity") ? WEIGHT_FULL : 0;
    if (!find_coding(accepted, coding, &weight))
        (void)find_coding(accepted, TEXT("*"), &weight);
    return weight;
}

bool accept_coding_is_named(struct text accepted, struct text coding) {
    unsigned weight;
    return find_coding(accepted, coding, &weight);
}

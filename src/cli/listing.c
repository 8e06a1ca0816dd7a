#include "cli/listing.h"

#include <string.h>

enum { GAP = 2 };

void listing_init(struct listing *listing, const char *const *titles) {
    *listing = (struct listing){.titles = titles};
    while (titles[listing->columns])
        listing->columns++;
}

// How many bytes of UTF-8 begin a text that are one character, and whether a terminal would obey
// it.
static size_t next_character(struct text text, bool *ret_controls) {
    unsigned char first = (unsigned char)text.data[0];
    size_t size = 1;
    while (size < text.size && ((unsigned char)text.data[size] & 0xC0) == 0x80)
        size++;
    bool c1 = first == 0xC2 && size == 2 && (unsigned char)text.data[1] < 0xA0;
    *ret_controls = first < 0x20 || first == 0x7F || c1;
    return size;
}

static size_t width_of(struct text text) {
    size_t width = 0;
    bool controls;
    for (; text.size; width++)
        text = text_from(text, next_character(text, &controls));
    return width;
}

void listing_print_text(struct text text, FILE *out) {
    while (text.size) {
        bool controls;
        size_t size = next_character(text, &controls);
        if (controls)
            (void)fputc('?', out); // whoever closes the stream sees what fails
        else
            (void)fwrite(text.data, 1, size, out);
        text = text_from(text, size);
    }
}

void listing_add(struct listing *listing, struct text text) {
    struct text *slot = arena_grow(&listing->arena, &listing->cells, listing->count, sizeof *slot);
    struct text copy = arena_copy(&listing->arena, text);
    listing->out_of_memory = listing->out_of_memory || !slot || !copy.data;
    if (listing->out_of_memory)
        return;
    *slot = copy;
    listing->count++;
}

static size_t next_column(const struct listing *listing, size_t column) {
    return column + 1 < listing->columns ? column + 1 : 0;
}

static void measure(const struct listing *listing, size_t widths[LISTING_COLUMNS]) {
    for (size_t i = 0; i < listing->columns; i++)
        widths[i] = strlen(listing->titles[i]);
    for (size_t i = 0, column = 0; i < listing->count; i++) {
        size_t width = width_of(listing->cells[i]);
        widths[column] = width > widths[column] ? width : widths[column];
        column = next_column(listing, column);
    }
}

static void print_cell(const struct listing *listing, size_t column, struct text text,
                       const size_t *widths, FILE *out) {
    bool last = column + 1 == listing->columns;
    listing_print_text(text, out);
    if (last)
        (void)fputc('\n', out);
    else
        (void)fprintf(out, "%*s", (int)(widths[column] - width_of(text) + GAP), "");
}

bool listing_print(struct listing *listing, FILE *out) {
    size_t widths[LISTING_COLUMNS] = {0};
    if (listing->out_of_memory)
        return false;
    measure(listing, widths);
    for (size_t i = 0; i < listing->columns && !listing->titled; i++)
        print_cell(listing, i, text_from_string(listing->titles[i]), widths, out);
    listing->titled = true;
    for (size_t i = 0, column = 0; i < listing->count; i++) {
        print_cell(listing, column, listing->cells[i], widths, out);
        column = next_column(listing, column);
    }
    arena_free(&listing->arena);
    listing->cells = NULL;
    listing->count = 0;
    return true;
}

void listing_free(struct listing *listing) {
    arena_free(&listing->arena);
}

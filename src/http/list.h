// A list is a ring of links that lie inside what they list; it owns nothing. The list itself is a
// link that belongs to nobody.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct link {
    struct link *previous; // NULL: in no list
    struct link *next;
};

// What a link lies in: list_entry(link, struct thing, member).
#define list_entry(pointer, type, member)                                                          \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void list_init(struct link *list) {
    list->previous = list;
    list->next = list;
}

static inline bool list_is_empty(const struct link *list) {
    return list->next == list;
}

static inline bool link_is_in_list(const struct link *link) {
    return link->previous != NULL;
}

// Puts a link that is in no list at the end.
static inline void list_append(struct link *list, struct link *link) {
    link->previous = list->previous;
    link->next = list;
    list->previous->next = link;
    list->previous = link;
}

// Takes a link out of its list; one that is in no list stays so.
static inline void list_remove(struct link *link) {
    if (!link->previous)
        return;
    link->previous->next = link->next;
    link->next->previous = link->previous;
    *link = (struct link){NULL, NULL};
}

#include "unit/allocation.h"

#include <stdlib.h>

static _Thread_local size_t left; // until one fails; 0: none will
static _Thread_local bool failed;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void allocation_fail_from(size_t nth) {
    left = nth;
    failed = false;
}

bool allocation_allow(void) {
    left = 0;
    return failed;
}

static bool fails(void) {
    if (left == 0)
        return false;
    if (left == 1)
        failed = true;
    else
        left--;
    return left == 1 && failed;
}

void *__wrap_malloc(size_t size) {
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size) {
    return fails() ? NULL : __real_realloc(memory, size);
}

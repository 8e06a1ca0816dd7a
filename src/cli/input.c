#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER_SIZE = 1 << 16 };

bool input_fill(struct input *input) {
    if (input->descriptor < 0 || input->error)
        return false;
    ssize_t size;
    do
        size = read(input->descriptor, input->buffer, BUFFER_SIZE);
    while (size < 0 && errno == EINTR);
    if (size < 0)
        input->error = errno;
    if (size <= 0)
        return false;
    input->ahead = text_of(input->buffer, (size_t)size);
    return true;
}

static void skip_byte_order_mark(struct input *input) {
    struct text mark = TEXT("\xEF\xBB\xBF");
    if (input_fill(input) && text_starts_with(input->ahead, mark)) {
        input->ahead = text_from(input->ahead, mark.size);
        input->taken += mark.size;
    }
}

bool input_open(struct input *input, const char *path, struct failure *failure) {
    bool standard = strcmp(path, "-") == 0;
    struct stat status;
    *input = (struct input){.name = standard ? "standard input" : path, .line = 1};
    input->descriptor = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (input->descriptor < 0)
        return failure_set(failure, FAILURE_NOT_FOUND, "%s cannot be opened: %s", path,
                           strerror(errno));
    if (fstat(input->descriptor, &status) == 0 && S_ISREG(status.st_mode))
        input->size = (uint64_t)status.st_size;
    input->buffer = malloc(BUFFER_SIZE);
    if (!input->buffer) {
        input_close(input);
        return failure_out_of_memory(failure);
    }
    skip_byte_order_mark(input);
    return true;
}

void input_from_text(struct input *input, struct text text) {
    *input =
        (struct input){.name = "", .descriptor = -1, .ahead = text, .line = 1, .size = text.size};
}

void input_close(struct input *input) {
    if (input->descriptor > STDIN_FILENO)
        close(input->descriptor);
    free(input->buffer);
    *input = (struct input){.descriptor = -1};
}

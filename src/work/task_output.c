#include "work/task_output.h"

void task_output_init(struct task_output *output) {
    *output = (struct task_output){.progress = -1};
}

void task_output_free(struct task_output *output) {
    buffer_free(&output->line);
    buffer_free(&output->last);
}

static bool is_control(unsigned char byte, bool lines) {
    return byte == 0x7F || (byte < 0x20 && !(lines && (byte == '\n' || byte == '\t')));
}

void task_append_clean(struct buffer *out, struct text bytes, bool lines) {
    while (bytes.size) {
        size_t size = text_utf8_size(bytes);
        if (size == 0 || is_control((unsigned char)bytes.data[0], lines))
            buffer_append_byte(out, '?');
        else
            buffer_append(out, bytes.data, size);
        bytes = text_from(bytes, size ? size : 1);
    }
}

// "40" or "40%".
static bool read_progress(struct text text, int *ret_progress) {
    int64_t number;
    if (text.size && text.data[text.size - 1] == '%')
        text.size--;
    if (!text_to_integer(text, &number) || number < 0 || number > 100)
        return false;
    *ret_progress = (int)number;
    return true;
}

static void note_detail(struct task_output *output, struct text text) {
    struct buffer clean = {0};
    task_append_clean(&clean, text, false);
    if (clean.failed) { // the next one may be there again
        buffer_free(&clean);
        return;
    }
    struct text whole = buffer_text(&clean);
    if (whole.size > TASK_DETAIL_MAX)
        whole = text_whole_characters(text_of(whole.data, TASK_DETAIL_MAX));
    if (whole.size)
        memcpy(output->detail, whole.data, whole.size);
    output->detail[whole.size] = '\0';
    output->has_news = true;
    buffer_free(&clean);
}

static bool take_word(struct text *line, const char *word) {
    size_t size = strlen(word);
    if (line->size <= size || memcmp(line->data, word, size) != 0 ||
        (line->data[size] != ' ' && line->data[size] != '\t'))
        return false;
    *line = text_trim(text_from(*line, size));
    return true;
}

// Keeps the line by changing its buffer for the one of the line that was kept before.
static void keep_as_last(struct task_output *output) {
    struct buffer spare = output->last;
    output->last = output->line;
    output->last_is_cut = output->is_cut;
    output->line = spare;
}

static void end_line(struct task_output *output) {
    struct text line = text_trim(buffer_text(&output->line));
    if (line.size && line.data[line.size - 1] == '\r')
        line = text_trim(text_of(line.data, line.size - 1));
    bool is_empty = line.size == 0 && !output->line.failed;
    if (!is_empty) {
        output->ignored += output->last.size > 0; // it was not the last after all
        buffer_clear(&output->last);
        output->last_is_cut = false;
    }
    struct text rest = line;
    if (output->line.failed || text_starts_with(line, TEXT("{"))) {
        keep_as_last(output); // where there was no memory, nobody knows what it was
    } else if (take_word(&rest, "progress") && !output->is_cut &&
               read_progress(rest, &output->progress)) {
        output->has_news = true;
    } else if (rest = line, take_word(&rest, "detail")) {
        note_detail(output, rest);
    } else if (!is_empty) {
        output->ignored++;
    }
    buffer_clear(&output->line);
    output->is_cut = false;
}

// Takes what still belongs to the present line, up to its bound.
static void continue_line(struct task_output *output, struct text part) {
    size_t room = TASK_LINE_MAX - output->line.size;
    if (part.size > room) {
        output->is_cut = true;
        part.size = room;
    }
    buffer_append_text(&output->line, part);
}

void task_output_feed(struct task_output *output, struct text bytes) {
    while (bytes.size) {
        ptrdiff_t end = text_find(bytes, '\n');
        continue_line(output, text_of(bytes.data, end < 0 ? bytes.size : (size_t)end));
        if (end < 0)
            return;
        end_line(output);
        bytes = text_from(bytes, (size_t)end + 1);
    }
}

void task_output_end(struct task_output *output) {
    if (output->line.size || output->line.failed)
        end_line(output);
}

bool task_output_properties(const struct task_output *output, json_t **ret_properties,
                            struct failure *failure) {
    struct text last = buffer_text(&output->last);
    json_error_t error;
    if (output->last.failed)
        return failure_out_of_memory(failure);
    if (last.size == 0) {
        *ret_properties = NULL;
        return true;
    }
    if (output->last_is_cut)
        return failure_set(failure, FAILURE_MALFORMED_JSON,
                           "the last line of its output is longer than %d KiB",
                           TASK_LINE_MAX / 1024);
    json_t *object = json_loadb(last.data, last.size, JSON_REJECT_DUPLICATES, &error);
    if (!object)
        return failure_set(failure, FAILURE_MALFORMED_JSON,
                           "the last line of its output is no JSON object: %s", error.text);
    *ret_properties = object;
    return true;
}

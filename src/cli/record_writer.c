#include "cli/record_writer.h"

#include "resource/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool refuse(const struct record_writer *writer, const char *doing, struct failure *failure) {
    return failure_set(failure, FAILURE_UNAVAILABLE, "%s cannot be %s: %s",
                       writer->path ? writer->path : "standard output", doing, strerror(errno));
}

// A file of the same folder, so that it can be moved; a process has one of a name.
static bool open_temporary(struct record_writer *writer, struct failure *failure) {
    if (asprintf(&writer->temporary, "%s.%ld.part", writer->path, (long)getpid()) < 0) {
        writer->temporary = NULL;
        return failure_out_of_memory(failure);
    }
    int descriptor =
        open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor < 0) {
        int error = errno;
        free(writer->temporary); // it is not ours
        writer->temporary = NULL;
        errno = error;
        return refuse(writer, "written", failure);
    }
    writer->out = fdopen(descriptor, "w");
    if (!writer->out)
        close(descriptor);
    return writer->out || failure_out_of_memory(failure);
}

static bool open_output(struct record_writer *writer, const char *path, struct failure *failure) {
    struct stat status;
    if (!path || strcmp(path, "-") == 0) {
        writer->out = stdout;
        return true;
    }
    writer->path = strdup(path);
    if (!writer->path)
        return failure_out_of_memory(failure);
    if (stat(path, &status) != 0 || S_ISREG(status.st_mode))
        return open_temporary(writer, failure);
    writer->out = fopen(path, "we"); // a pipe or a device is written where it is
    return writer->out || refuse(writer, "written", failure);
}

// What stands before the first record.
static bool begin(struct record_writer *writer, const struct resource *resource,
                  struct failure *failure) {
    if (writer->format == RECORDS_JSON)
        return fputc('[', writer->out) != EOF || refuse(writer, "written", failure);
    if (writer->format == RECORDS_NDJSON)
        return true;
    if (!csv_columns_make(&writer->columns, resource, failure))
        return false;
    csv_columns_write_header(&writer->columns, &writer->row);
    if (writer->row.failed)
        return failure_out_of_memory(failure);
    return fwrite(writer->row.data, 1, writer->row.size, writer->out) == writer->row.size ||
           refuse(writer, "written", failure);
}

bool record_writer_open(struct record_writer *writer, const char *path, enum record_format format,
                        const struct resource *resource, struct failure *failure) {
    *writer = (struct record_writer){.format = format};
    if (open_output(writer, path, failure) && begin(writer, resource, failure))
        return true;
    record_writer_abandon(writer);
    return false;
}

// The record as the format has it, into the row.
static bool format_record(struct record_writer *writer, struct text record,
                          struct failure *failure) {
    buffer_clear(&writer->row);
    if (writer->format == RECORDS_CSV) {
        json_t *tree = json_read(record, failure);
        if (!tree)
            return false;
        csv_columns_write(&writer->columns, tree, &writer->row);
        json_decref(tree);
    } else if (writer->format == RECORDS_JSON) {
        buffer_append_string(&writer->row, writer->count ? ",\n" : "\n");
        buffer_append_text(&writer->row, record);
    } else {
        buffer_append_text(&writer->row, record);
        buffer_append_byte(&writer->row, '\n');
    }
    return !writer->row.failed || failure_out_of_memory(failure);
}

bool record_writer_add(struct record_writer *writer, struct text record, struct failure *failure) {
    if (!format_record(writer, record, failure))
        return false;
    if (fwrite(writer->row.data, 1, writer->row.size, writer->out) != writer->row.size)
        return refuse(writer, "written", failure);
    writer->count++;
    return true;
}

static bool flush(struct record_writer *writer, struct failure *failure) {
    bool ok = writer->format != RECORDS_JSON ||
              fputs(writer->count ? "\n]\n" : "]\n", writer->out) != EOF;
    if (!ok || fflush(writer->out) != 0)
        return refuse(writer, "written", failure);
    return !writer->temporary || fsync(fileno(writer->out)) == 0 ||
           refuse(writer, "written", failure);
}

static bool move_into_place(struct record_writer *writer, struct failure *failure) {
    if (!writer->temporary)
        return true;
    if (rename(writer->temporary, writer->path) != 0)
        return refuse(writer, "replaced", failure);
    free(writer->temporary);
    writer->temporary = NULL;
    return true;
}

bool record_writer_finish(struct record_writer *writer, struct failure *failure) {
    bool ok = flush(writer, failure) && move_into_place(writer, failure);
    record_writer_abandon(writer);
    return ok;
}

void record_writer_abandon(struct record_writer *writer) {
    if (writer->out && writer->out != stdout)
        (void)fclose(writer->out); // what counts was flushed
    if (writer->temporary)
        (void)unlink(writer->temporary);
    free(writer->temporary);
    free(writer->path);
    csv_columns_free(&writer->columns);
    buffer_free(&writer->row);
    *writer = (struct record_writer){0};
}

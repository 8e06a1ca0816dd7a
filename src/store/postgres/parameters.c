#include "store/postgres/parameters.h"

#include "base/timestamp.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

// Milliseconds from 1970-01-01 to 2000-01-01, from which PostgreSQL counts.
static const int64_t EPOCH = 946684800000;

// Writes a value; how many bytes it took, 0 where it has no binary form.
typedef size_t encoder(const struct value *value, char *out);

static size_t write_64(uint64_t number, char *out) {
    number = htobe64(number);
    memcpy(out, &number, sizeof number);
    return sizeof number;
}

static size_t encode_boolean(const struct value *value, char *out) {
    out[0] = value->boolean;
    return 1;
}

static size_t encode_integer(const struct value *value, char *out) {
    return write_64((uint64_t)value->integer, out);
}

static size_t encode_real(const struct value *value, char *out) {
    uint64_t bits;
    memcpy(&bits, &value->real, sizeof bits);
    return write_64(bits, out);
}

static size_t encode_timestamp(const struct value *value, char *out) {
    int64_t ms;
    if (!timestamp_parse(value->text, &ms))
        return 0;
    return write_64((uint64_t)((ms - EPOCH) * 1000), out);
}

static size_t encode_uuid(const struct value *value, char *out) {
    char digits[36];
    size_t count = 0;
    for (size_t i = 0; i < value->text.size && count < sizeof digits; i++) {
        if (value->text.data[i] != '-')
            digits[count++] = value->text.data[i];
    }
    return count == 32 && text_hex_decode(text_of(digits, 32), out, 16) ? 16 : 0;
}

// What is sent as it is, or as text, has none.
static encoder *const encoders[VALUE_KINDS] = {
    [VALUE_BOOLEAN] = encode_boolean,     [VALUE_INTEGER] = encode_integer,
    [VALUE_REAL] = encode_real,           [VALUE_UUID] = encode_uuid,
    [VALUE_TIMESTAMP] = encode_timestamp,
};

// "-0.01" of -1 and a scale of 2, ended by a zero byte: a sign, a point and at most 20 digits.
static void write_decimal(const struct value *value, char *out) {
    uint64_t digits = value->integer < 0 ? 0 - (uint64_t)value->integer : (uint64_t)value->integer;
    char reversed[PG_PARAMETER_SIZE];
    size_t count = 0;
    for (unsigned place = 0; place <= value->scale || digits; place++, digits /= 10) {
        if (place == value->scale && place > 0)
            reversed[count++] = '.';
        reversed[count++] = (char)('0' + digits % 10);
    }
    if (value->integer < 0)
        reversed[count++] = '-';
    for (size_t i = 0; i < count; i++)
        out[i] = reversed[count - 1 - i];
    out[count] = '\0';
}

// As text in the scratch space, ended by a zero byte; what is too long for it is no such value, and
// the server says so.
static void write_text(const struct value *value, char *out) {
    if (value->kind == VALUE_DECIMAL)
        write_decimal(value, out);
    else
        (void)snprintf(out, PG_PARAMETER_SIZE, "%.*s", TEXT_ARGS(value->text));
}

static bool is_sent_as_it_is(enum value_kind kind) {
    return kind == VALUE_TEXT || kind == VALUE_JSON || kind == VALUE_BYTES;
}

static void set(struct pg_parameters *parameters, size_t index, const struct value *value) {
    char *scratch = parameters->scratch[index];
    size_t size = 0;
    if (value->kind == VALUE_NULL) {
        parameters->values[index] = NULL;
        parameters->formats[index] = 0;
    } else if (is_sent_as_it_is(value->kind)) {
        // A NULL pointer would be null, and an empty text is none.
        parameters->values[index] = value->text.data ? value->text.data : "";
        size = value->text.size;
        parameters->formats[index] = 1;
    } else {
        size = encoders[value->kind] ? encoders[value->kind](value, scratch) : 0;
        if (size == 0)
            write_text(value, scratch);
        parameters->values[index] = scratch;
        parameters->formats[index] = size > 0;
    }
    parameters->lengths[index] = (int)size; // of texts libpq does not look at it
}

static bool grow(struct pg_parameters *parameters, size_t count) {
    if (count <= parameters->capacity)
        return true;
    struct pg_parameters larger = {
        .values = calloc(count, sizeof *larger.values),
        .lengths = calloc(count, sizeof *larger.lengths),
        .formats = calloc(count, sizeof *larger.formats),
        .scratch = calloc(count, sizeof *larger.scratch),
        .capacity = count,
    };
    bool ok = larger.values && larger.lengths && larger.formats && larger.scratch;
    if (!ok) {
        pg_parameters_free(&larger);
        return false;
    }
    struct pg_parameters smaller = *parameters;
    *parameters = larger;
    pg_parameters_free(&smaller);
    return true;
}

bool pg_parameters_set(struct pg_parameters *parameters, const struct value *values, size_t count) {
    if (!grow(parameters, count))
        return false;
    for (size_t i = 0; i < count; i++)
        set(parameters, i, &values[i]);
    return true;
}

void pg_parameters_free(struct pg_parameters *parameters) {
    free(parameters->values);
    free(parameters->lengths);
    free(parameters->formats);
    free(parameters->scratch);
    *parameters = (struct pg_parameters){0};
}

#include "api/operation_body.h"

#include "resource/schema.h"

static void fault(struct faults *faults, const char *member, const char *detail) {
    struct json_path path = {.name = text_from_string(member)};
    schema_fault(faults, &path, "%s", detail);
}

static void read_transitions(const json_t *value, struct faults *faults,
                             struct operation_body *body) {
    size_t count = json_array_size(value);
    bool valid = count >= 1 && count <= CLAIMABLES_MAX;
    for (size_t i = 0; i < count; i++)
        valid = valid && json_is_string(json_array_get(value, i));
    if (valid)
        body->transitions = value;
    else
        fault(faults, "transitions",
              "must be a list of transitions, such as [\"packages.download\"], at most 100");
}

static void read_worker(const json_t *value, struct faults *faults, struct operation_body *body) {
    if (json_is_string(value) && text_utf8_length(json_text(value)) <= OPERATION_WORKER_MAX)
        body->worker = json_text(value);
    else
        fault(faults, "worker", "must be a string of at most 200 characters");
}

static bool read_integer(const json_t *value, int64_t least, int64_t most, int64_t *ret_integer) {
    if (!json_is_integer(value) || json_integer_value(value) < least ||
        json_integer_value(value) > most)
        return false;
    *ret_integer = json_integer_value(value);
    return true;
}

static void read_lease(const json_t *value, struct faults *faults, struct operation_body *body) {
    int64_t seconds;
    if (read_integer(value, OPERATION_LEASE_LEAST / 1000, OPERATION_LEASE_MOST / 1000, &seconds))
        body->lease = seconds * 1000;
    else
        fault(faults, "lease_seconds", "must be a whole number from 1 to 3600");
}

static void read_attempt(const json_t *value, struct faults *faults, struct operation_body *body) {
    if (!read_integer(value, 1, INT64_MAX, &body->attempt))
        fault(faults, "attempt", "must be the number of the attempt, as the claim gave it");
}

static void read_progress(const json_t *value, struct faults *faults, struct operation_body *body) {
    if (!read_integer(value, 0, 100, &body->progress))
        fault(faults, "progress", "must be a whole number from 0 to 100");
}

static void read_detail(const json_t *value, struct faults *faults, struct operation_body *body) {
    if (!json_is_string(value))
        fault(faults, "detail", "must be a string");
    else if (json_text(value).size)
        body->detail = json_text(value);
}

static void read_state(const json_t *value, struct faults *faults, struct operation_body *body) {
    static const struct {
        const char *name;
        enum finish_kind kind;
    } states[] = {
        {"succeeded", FINISH_SUCCEEDED},
        {"failed", FINISH_FAILED},
        {"cancelled", FINISH_CANCELLED},
        {"released", FINISH_RELEASED},
    };
    for (size_t i = 0; json_is_string(value) && i < sizeof states / sizeof *states; i++) {
        if (!text_is(json_text(value), states[i].name))
            continue;
        body->kind = states[i].kind;
        return;
    }
    fault(faults, "state", "must be succeeded, failed, cancelled or released");
}

static void read_set(const json_t *value, struct faults *faults, struct operation_body *body) {
    if (json_is_object(value))
        body->set = value;
    else
        fault(faults, "set", "must be an object with the properties to set");
}

static const struct {
    const char *name;
    enum operation_member member;
    void (*read)(const json_t *value, struct faults *faults, struct operation_body *body);
} members[] = {
    {"transitions", MEMBER_TRANSITIONS, read_transitions},
    {"worker", MEMBER_WORKER, read_worker},
    {"lease_seconds", MEMBER_LEASE, read_lease},
    {"attempt", MEMBER_ATTEMPT, read_attempt},
    {"progress", MEMBER_PROGRESS, read_progress},
    {"detail", MEMBER_DETAIL, read_detail},
    {"state", MEMBER_STATE, read_state},
    {"set", MEMBER_SET, read_set},
};

enum { MEMBERS = sizeof members / sizeof *members };

static void check_names(const json_t *body, unsigned may, struct faults *faults) {
    struct text names[MEMBERS];
    size_t count = 0;
    const char *name;
    json_t *value;
    for (size_t i = 0; i < MEMBERS; i++)
        if (members[i].member & may)
            names[count++] = text_from_string(members[i].name);
    json_object_foreach((json_t *)body, name, value) {
        bool known = false;
        for (size_t i = 0; i < count; i++)
            known = known || text_is(names[i], name);
        if (!known)
            schema_fault_unknown(faults, NULL, TEXT("this request"), name, names, count);
    }
}

void operation_body_read(const json_t *body, unsigned may, unsigned must, struct faults *faults,
                         struct operation_body *ret_body) {
    *ret_body = (struct operation_body){.lease = OPERATION_LEASE_DEFAULT, .progress = -1};
    if (!json_is_object(body)) {
        faults_add(faults, TEXT(""), "must be an object");
        return;
    }
    check_names(body, may, faults);
    for (size_t i = 0; i < MEMBERS; i++) {
        const json_t *value = json_object_get(body, members[i].name);
        if (value && !json_is_null(value) && (members[i].member & may))
            members[i].read(value, faults, ret_body);
        else if (members[i].member & must)
            fault(faults, members[i].name, "is required");
    }
    if (ret_body->set && ret_body->kind != FINISH_SUCCEEDED)
        fault(faults, "set", "goes with the state succeeded");
}

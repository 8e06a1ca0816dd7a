#include "cli/supervise.h"

#include "base/quantity.h"
#include "work/supervisor.h"

#include <limits.h>

enum { GRACE_DEFAULT = 5000 };

static const uint64_t LONGEST = 366ULL * 24 * 3600 * 1000;

static bool read_duration(const struct invocation *invocation, const char *name, uint64_t *value) {
    const char *word = invocation_option(invocation, name);
    return !word || (quantity_parse_duration(text_from_string(word), value) && *value <= LONGEST);
}

static bool read_descriptor(const struct invocation *invocation, int *value) {
    const char *word = invocation_option(invocation, "control");
    int64_t number = -1;
    if (word &&
        (!text_to_integer(text_from_string(word), &number) || number < 3 || number > INT_MAX))
        return false;
    *value = (int)number;
    return true;
}

static int run(const struct invocation *invocation) {
    struct supervision supervision = {.command = invocation->arguments, .grace = GRACE_DEFAULT};
    if (!read_duration(invocation, "grace", &supervision.grace))
        return command_misused(invocation, "--grace is a time of a year at most: 500ms, 5s, 1h");
    if (!read_duration(invocation, "limit", &supervision.limit))
        return command_misused(invocation, "--limit is a time of a year at most: 500ms, 5s, 1h");
    if (!read_descriptor(invocation, &supervision.control))
        return command_misused(invocation, "--control is the number of a descriptor from 3 on");
    return supervise(&supervision);
}

static const struct command_option options[] = {
    {.name = "grace",
     .placeholder = "DURATION",
     .help = "between SIGTERM and SIGKILL, when it is ended [5s]"},
    {.name = "limit", .placeholder = "DURATION", .help = "end it after this time"},
    {.name = "control",
     .placeholder = "NUMBER",
     .help = "a descriptor on which trestle itself speaks with its supervisors"},
    {.name = NULL},
};

const struct command supervise_command = {
    .name = "supervise",
    .synopsis = "-- COMMAND [ARGUMENT...]",
    .summary = "Run a command that leaves no process behind",
    .description =
        "All that comes of COMMAND ends with it: what runs in the background, what forked twice, "
        "what\n"
        "made a session of its own. It is ended when --limit is over, when a signal (TERM, INT, "
        "HUP,\n"
        "QUIT) asks for it, each with --grace to end in order, and at once when the parent process "
        "dies.\n"
        "trestle's server and agents run their commands in this way.\n"
        "\n"
        "The exit status is the command's; a signal that killed it kills this, too. 127: there is "
        "no\n"
        "such command; 126: it cannot be started.\n",
    .options = options,
    .arguments_least = 1,
    .arguments_most = UINT_MAX,
    .examples = "  trestle supervise -- sh -c 'sleep 100 & echo started'\n"
                "  trestle supervise --limit 10m --grace 30s -- backup --all\n",
    .run = run,
};

// A command is one of the program's subcommands, as a row of a table: what it is called, what it
// takes, how it is explained, and what runs it. Everything in a command is constant.
#pragma once

#include "cli/settings.h"

// The exit statuses of every command; EXIT_SUCCESS and EXIT_FAILURE are the others.
enum { EXIT_USAGE = 2 }; // a wrong command line, or a setting that is not valid

// A flag that belongs to one command, besides the settings.
struct command_option {
    const char *name;        // without the dashes; NULL ends a list
    const char *placeholder; // what stands for its value in help; NULL: it takes none
    const char *variable;    // of the environment, which gives it too; NULL: none
    const char *help;
    bool repeats; // it may be given several times: the values, with commas between them
};

struct invocation;

struct command {
    const char *name;
    const char *synopsis;                 // its arguments, "RESOURCE FILE"; "" for none
    const char *summary;                  // one line
    const char *description;              // whole lines, or ""
    const struct command_option *options; // or NULL
    unsigned uses;                        // its bit of setting_use; 0: it reads no settings
    unsigned arguments_least;
    unsigned arguments_most;
    const char *examples;                            // whole lines
    int (*run)(const struct invocation *invocation); // returns the exit status
};

// One run of a command. All of it belongs to command_main and lives until it returns.
struct invocation {
    const struct command *command;
    const struct command *const *commands; // all of them, NULL-terminated
    const struct settings *settings;       // NULL where the command reads none
    char *const *arguments;
    size_t argument_count;
    const char *const *option_values; // in the order of the command's options
};

// Finds the command that argv[1] names, reads flags and settings, and runs it. Returns the exit
// status. `environment` is as environ is.
int command_main(const struct command *const *commands, int argc, char **argv,
                 char *const *environment);

// The value of an option of the command ("" for one that takes none), or NULL where neither flag
// nor variable gives it.
const char *invocation_option(const struct invocation *invocation, const char *name);

// Prints what all commands are, or how one of them is used.
void command_print_overview(const struct command *const *commands);
bool command_print_help(const struct command *const *commands, const char *name);

// "trestle NAME: …\n" to standard error. Returns EXIT_FAILURE.
int command_fail(const struct invocation *invocation, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// The same for a wrong use, with where to find help. Returns EXIT_USAGE.
int command_misused(const struct invocation *invocation, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// The program: a table of commands, and what runs the one that is asked for.
#include "cli/agent.h"
#include "cli/backup.h"
#include "cli/check.h"
#include "cli/command.h"
#include "cli/copy.h"
#include "cli/export.h"
#include "cli/import.h"
#include "cli/keys.h"
#include "cli/migrate.h"
#include "cli/routes.h"
#include "cli/serve.h"
#include "cli/supervise.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int run_serve(const struct invocation *invocation) {
    return serve_run(invocation->settings, invocation_option(invocation, "wait"));
}

static const struct command_option serve_options[] = {
    {.name = "wait", .help = "wait for a database that is missing or cannot be reached"},
    {.name = NULL},
};

static const struct command serve_command = {
    .name = "serve",
    .synopsis = "",
    .summary = "Serve the resources over HTTP",
    .description = "It runs until SIGTERM or SIGINT, then finishes the requests under way.\n",
    .options = serve_options,
    .uses = USED_BY_SERVE,
    .examples =
        "  trestle serve\n"
        "  trestle serve --listen 0.0.0.0:80 --data /var/lib/trestle \\\n"
        "      --database sqlite:/var/lib/trestle/trestle.db\n"
        "  trestle serve --wait --database postgresql://trestle@db.example/shop\n"
        "  TRESTLE_ADMIN_KEY=a-long-secret-word trestle serve --listen unix:/run/trestle/http\n",
    .run = run_serve,
};

static int run_version(const struct invocation *invocation) {
    printf("trestle %s\n", TRESTLE_VERSION);
    return EXIT_SUCCESS;
}

static const struct command version_command = {
    .name = "version",
    .synopsis = "",
    .summary = "Print the version",
    .description = "",
    .examples = "  trestle version\n",
    .run = run_version,
};

static int run_help(const struct invocation *invocation) {
    if (invocation->argument_count == 0)
        command_print_overview(invocation->commands);
    else if (!command_print_help(invocation->commands, invocation->arguments[0]))
        return EXIT_USAGE;
    return EXIT_SUCCESS;
}

static const struct command help_command = {
    .name = "help",
    .synopsis = "[COMMAND]",
    .summary = "Tell how a command is used",
    .description = "",
    .arguments_most = 1,
    .examples = "  trestle help\n  trestle help import\n",
    .run = run_help,
};

static const struct command *const commands[] = {
    &serve_command,  &check_command, &migrate_command,   &import_command,
    &export_command, &copy_command,  &backup_command,    &keys_command,
    &routes_command, &agent_command, &supervise_command, &version_command,
    &help_command,   NULL,
};

int main(int argc, char **argv) {
    // A reader that went away shows as an error of the write, with a message.
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); // so does a file that may not grow: the disk is full then
    int status = command_main(commands, argc, argv, environ);
    if (fflush(stdout) != 0 && status == EXIT_SUCCESS) {
        perror("trestle: standard output");
        status = EXIT_FAILURE;
    }
    return status;
}

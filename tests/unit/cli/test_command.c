#include "cli/command.h"

#include "unit/testing.h"

#include <stdlib.h>
#include <unistd.h>

// What the last run of a command saw.
static struct {
    unsigned runs;
    size_t argument_count;
    char first_argument[20];
    char colour[20]; // "-": not given
    bool loud;
    bool has_settings;
    size_t max_body;
} seen;

static int run(const struct invocation *invocation) {
    const char *colour = invocation_option(invocation, "colour");
    seen.runs++;
    seen.argument_count = invocation->argument_count;
    if (invocation->argument_count)
        (void)snprintf(seen.first_argument, sizeof seen.first_argument, "%s",
                       invocation->arguments[0]);
    (void)snprintf(seen.colour, sizeof seen.colour, "%s", colour ? colour : "-");
    seen.loud = invocation_option(invocation, "loud") != NULL;
    seen.has_settings = invocation->settings != NULL;
    seen.max_body = invocation->settings ? invocation->settings->max_body : 0;
    assert_null(invocation_option(invocation, "no-such-option"));
    return 7;
}

static const struct command_option options[] = {
    {.name = "colour", .placeholder = "WORD", .variable = "TRESTLE_KEY", .help = "a colour"},
    {.name = "loud", .help = "more of it"},
    {.name = NULL},
};

static const struct command paint = {
    .name = "paint",
    .synopsis = "WALL [FLOOR]",
    .summary = "Paint",
    .description = "",
    .options = options,
    .uses = USED_BY_IMPORT,
    .arguments_least = 1,
    .arguments_most = 2,
    .examples = "  trestle paint wall\n",
    .run = run,
};

static const struct command rest = {.name = "rest",
                                    .synopsis = "",
                                    .summary = "Rest",
                                    .description = "",
                                    .examples = "  trestle rest\n",
                                    .run = run};

static const struct command *const commands[] = {&paint, &rest, NULL};

// Runs "trestle WORD...", whose words are separated by blanks.
static int run_line(const char *line, char *const *environment) {
    char words[200];
    char name[] = "trestle";
    char *arguments[20] = {name};
    int count = 1;
    char *place = NULL;
    (void)snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok_r(words, " ", &place); word; word = strtok_r(NULL, " ", &place))
        arguments[count++] = word;
    memset(&seen, 0, sizeof seen);
    return command_main(commands, count, arguments, environment);
}

static void arguments_and_options_reach_the_command(void **state) {
    assert_int_equal(run_line("paint wall", NULL), 7);
    assert_int_equal(seen.argument_count, 1);
    assert_string_equal(seen.first_argument, "wall");
    assert_string_equal(seen.colour, "-");
    assert_false(seen.loud);
    assert_int_equal(run_line("paint --colour red wall --loud floor", NULL), 7);
    assert_int_equal(seen.argument_count, 2);
    assert_string_equal(seen.first_argument, "wall");
    assert_string_equal(seen.colour, "red");
    assert_true(seen.loud);
    assert_int_equal(run_line("paint --colour=blue -- --loud", NULL), 7);
    assert_string_equal(seen.first_argument, "--loud");
    assert_string_equal(seen.colour, "blue");
    assert_false(seen.loud);
    assert_int_equal(run_line("paint -", NULL), 7);
    assert_string_equal(seen.first_argument, "-");
}

static void a_variable_gives_an_option_that_no_flag_gives(void **state) {
    char green[] = "TRESTLE_KEY=green";
    char empty[] = "TRESTLE_KEY=";
    char *const with[] = {green, NULL};
    char *const without[] = {empty, NULL};
    assert_int_equal(run_line("paint wall", with), 7);
    assert_string_equal(seen.colour, "green");
    assert_int_equal(run_line("paint wall --colour red", with), 7);
    assert_string_equal(seen.colour, "red");
    assert_int_equal(run_line("paint wall", without), 7);
    assert_string_equal(seen.colour, "-");
}

static void settings_are_flags_of_commands_that_use_them(void **state) {
    assert_int_equal(run_line("paint wall --max-body 1MiB", NULL), 7);
    assert_true(seen.has_settings);
    assert_int_equal(seen.max_body, 1 << 20);
    assert_int_equal(run_line("rest", NULL), 7);
    assert_false(seen.has_settings);
    assert_int_equal(run_line("paint wall --max-head 1MiB", NULL), EXIT_USAGE); // of serve alone
    assert_int_equal(run_line("rest --max-body 1MiB", NULL), EXIT_USAGE);
    assert_int_equal(seen.runs, 0);
}

static void wrong_use_runs_nothing(void **state) {
    static const char *const lines[] = {
        "pant wall",         "paint",
        "paint a b c",       "paint wall --colur red",
        "paint wall -x",     "paint wall --colour",
        "paint a --loud=no", "paint a --max-body huge",
        "rest now",          "paint a --config /nowhere/x.yaml",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_true_for(run_line(lines[i], NULL) == EXIT_USAGE, lines[i]);
        assert_true_for(seen.runs == 0, lines[i]);
    }
}

static void help_runs_nothing(void **state) {
    static const char *const lines[] = {
        "", "--help", "-h", "paint --help", "paint -h", "paint a b c --help", "rest --help"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_true_for(run_line(lines[i], NULL) == EXIT_SUCCESS, lines[i]);
        assert_true_for(seen.runs == 0, lines[i]);
    }
    assert_true(command_print_help(commands, "paint"));
    assert_false(command_print_help(commands, "panit"));
}

// Where no trestle.yaml is.
static int set_up(void **state) {
    return chdir("/");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_and_options_reach_the_command),
        cmocka_unit_test(a_variable_gives_an_option_that_no_flag_gives),
        cmocka_unit_test(settings_are_flags_of_commands_that_use_them),
        cmocka_unit_test(wrong_use_runs_nothing),
        cmocka_unit_test(help_runs_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}

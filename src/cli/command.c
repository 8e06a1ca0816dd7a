#include "cli/command.h"

#include "base/suggest.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { HELP_COLUMN = 28, HELP_WIDTH = 96 };

// What a flag of the command line stands for; the numbers are getopt_long's.
enum {
    FLAG_HELP = 'h',
    FLAG_CONFIG = 256,
    FLAG_OPTION = 1000,  // and behind it, the command's options
    FLAG_SETTING = 2000, // and behind it, the table of settings
};

// A command line while it is read. It belongs to its arena.
struct command_line {
    struct invocation invocation;
    struct settings_sources sources;
    struct setting_flag *flags;
    const char **option_values;
    bool wants_help;
    struct arena arena;
};

static size_t option_count(const struct command *command) {
    size_t count = 0;
    while (command->options && command->options[count].name)
        count++;
    return count;
}

__attribute__((format(printf, 2, 0))) static void say(const char *prefix, const char *format,
                                                      va_list arguments) {
    (void)fprintf(stderr, "%s: ", prefix);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
}

int command_fail(const struct invocation *invocation, const char *format, ...) {
    char prefix[64];
    snprintf(prefix, sizeof prefix, "trestle %s", invocation->command->name);
    va_list arguments;
    va_start(arguments, format);
    say(prefix, format, arguments);
    va_end(arguments);
    return EXIT_FAILURE;
}

int command_misused(const struct invocation *invocation, const char *format, ...) {
    const char *name = invocation->command->name;
    char prefix[64];
    snprintf(prefix, sizeof prefix, "trestle %s", name);
    va_list arguments;
    va_start(arguments, format);
    say(prefix, format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "\"trestle %s --help\" tells how it is used.\n", name);
    return EXIT_USAGE;
}

const char *invocation_option(const struct invocation *invocation, const char *name) {
    const struct command_option *options = invocation->command->options;
    for (size_t i = 0; options && options[i].name; i++) {
        if (strcmp(options[i].name, name) == 0)
            return invocation->option_values[i];
    }
    return NULL;
}

static const struct command *find_command(const struct command *const *commands, const char *name) {
    for (; *commands; commands++) {
        if (strcmp((*commands)->name, name) == 0)
            return *commands;
    }
    return NULL;
}

static void refuse_command(const struct command *const *commands, const char *name) {
    struct suggestion suggestion = {.word = text_from_string(name)};
    for (; *commands; commands++)
        suggest_offer(&suggestion, text_from_string((*commands)->name));
    if (suggestion.best.data)
        (void)fprintf(stderr, "trestle: there is no command \"%s\"; perhaps %.*s is meant\n", name,
                      TEXT_ARGS(suggestion.best));
    else
        (void)fprintf(stderr, "trestle: there is no command \"%s\"; \"trestle help\" lists them\n",
                      name);
}

// "  --name VALUE   what it is for", in as many lines as it takes.
static void print_entry(const char *left, const char *right) {
    int column = printf("  %-*s", HELP_COLUMN - 2, left);
    if (column > HELP_COLUMN) {
        printf("\n%*s", HELP_COLUMN, "");
        column = HELP_COLUMN;
    }
    struct text rest = text_from_string(right);
    struct text word;
    for (bool first = true; text_split(&rest, ' ', &word); first = false) {
        if (!first && column + (int)word.size >= HELP_WIDTH) {
            printf("\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
            first = true;
        }
        column += printf("%s%.*s", first ? "" : " ", TEXT_ARGS(word));
    }
    printf("\n");
}

static void print_option(const struct command_option *option) {
    char left[100];
    char right[400];
    snprintf(left, sizeof left, "--%s %s", option->name,
             option->placeholder ? option->placeholder : "");
    snprintf(right, sizeof right, "%s%s%s%s", option->help, option->variable ? " (also " : "",
             option->variable ? option->variable : "", option->variable ? ")" : "");
    print_entry(left, right);
}

static void print_options(const struct command *command) {
    static const struct command_option common[] = {
        {.name = "config",
         .placeholder = "FILE",
         .variable = "TRESTLE_CONFIG",
         .help = "read settings from it instead of ./trestle.yaml"},
        {.name = "help", .help = "show this"},
    };
    const struct command_option *option = command->options;
    printf("\nOptions:\n");
    for (; option && option->name; option++)
        print_option(option);
    if (command->uses)
        print_option(&common[0]);
    print_option(&common[1]);
}

// "--max-body SIZE"; the choices stand for the value where there are some.
static void format_setting_flag(const struct setting *setting, char *out, size_t size) {
    int written = snprintf(out, size, "--%s ", setting->name);
    for (char *c = strchr(out, '_'); c; c = strchr(c, '_'))
        *c = '-';
    if (!setting->choices)
        written +=
            snprintf(out + written, size - (size_t)written, "%s", setting_placeholder(setting));
    for (size_t i = 0; setting->choices && setting->choices[i]; i++)
        written += snprintf(out + written, size - (size_t)written, "%s%s", i ? "|" : "",
                            setting->choices[i]);
}

static void print_setting(const struct setting *setting) {
    char left[200];
    char right[400];
    format_setting_flag(setting, left, sizeof left);
    snprintf(right, sizeof right, "%s%s%s%s", setting->help, setting->default_text ? " [" : "",
             setting->default_text ? setting->default_text : "", setting->default_text ? "]" : "");
    print_entry(left, right);
}

static void print_settings(const struct command *command) {
    size_t count;
    const struct setting *table = settings_table(&count);
    if (!command->uses)
        return;
    printf("\nSettings, with their defaults. --max-body 1MiB may also be \"max_body: 1MiB\" in\n"
           "trestle.yaml or TRESTLE_MAX_BODY=1MiB, and so with each; flags count most, then\n"
           "variables, then the file:\n");
    for (size_t i = 0; i < count; i++) {
        if (table[i].used_by & command->uses)
            print_setting(&table[i]);
    }
}

static void print_command(const struct command *command) {
    printf("Usage: trestle %s%s%s%s\n\n%s.\n", command->name,
           command->uses || command->options ? " [OPTION...]" : "", *command->synopsis ? " " : "",
           command->synopsis, command->summary);
    if (*command->description)
        printf("\n%s", command->description);
    print_options(command);
    print_settings(command);
    printf("\nExamples:\n%s", command->examples);
}

void command_print_overview(const struct command *const *commands) {
    printf("trestle serves the resources that you declare in YAML as a REST API.\n"
           "\nUsage: trestle COMMAND [OPTION...] [ARGUMENT...]\n\nCommands:\n");
    for (; *commands; commands++)
        printf("  %-10s%s\n", (*commands)->name, (*commands)->summary);
    printf("\n\"trestle help COMMAND\" tells more. To begin: trestle serve\n");
}

bool command_print_help(const struct command *const *commands, const char *name) {
    const struct command *command = find_command(commands, name);
    if (command)
        print_command(command);
    else
        refuse_command(commands, name);
    return command != NULL;
}

// All long flags of the command, as getopt_long wants them. NULL when there is no memory.
static struct option *make_long_options(struct command_line *line) {
    const struct command *command = line->invocation.command;
    size_t own = option_count(command);
    size_t count;
    const struct setting *table = settings_table(&count);
    struct option *options = arena_allocate_zero(&line->arena, own + count + 3, sizeof *options);
    if (!options)
        return NULL;
    struct option *next = options;
    *next++ = (struct option){"help", no_argument, NULL, FLAG_HELP};
    if (command->uses)
        *next++ = (struct option){"config", required_argument, NULL, FLAG_CONFIG};
    for (size_t i = 0; i < own; i++)
        *next++ = (struct option){command->options[i].name,
                                  command->options[i].placeholder ? required_argument : no_argument,
                                  NULL, FLAG_OPTION + (int)i};
    for (size_t i = 0; i < count; i++) {
        if (!(table[i].used_by & command->uses))
            continue;
        struct text name = arena_format(&line->arena, "%s", table[i].name);
        if (!name.data)
            return NULL;
        for (char *c = strchr(name.data, '_'); c; c = strchr(c, '_'))
            *c = '-';
        *next++ = (struct option){name.data, required_argument, NULL, FLAG_SETTING + (int)i};
    }
    return options;
}

// A flag that getopt_long does not know, does not want a value for, or finds ambiguous.
static int refuse_flag(const struct command_line *line, const struct option *options,
                       const char *argument) {
    struct text name = text_from_string(argument);
    while (name.size && name.data[0] == '-')
        name = text_from(name, 1);
    ptrdiff_t equals = text_find(name, '=');
    if (equals >= 0)
        name.size = (size_t)equals;
    struct suggestion suggestion = {.word = name};
    for (; options->name; options++) {
        suggest_offer(&suggestion, text_from_string(options->name));
        if (text_is(name, options->name))
            return command_misused(&line->invocation, "--%s takes no value", options->name);
    }
    if (suggestion.best.data)
        return command_misused(&line->invocation,
                               "there is no flag \"%s\"; perhaps --%.*s is meant", argument,
                               TEXT_ARGS(suggestion.best));
    return command_misused(&line->invocation, "there is no flag \"%s\"", argument);
}

static bool take_setting(struct command_line *line, int number, const char *value) {
    size_t count;
    const struct setting *table = settings_table(&count);
    struct setting_flag *flag =
        arena_grow(&line->arena, &line->flags, line->sources.flag_count, sizeof *flag);
    if (!flag)
        return false;
    *flag = (struct setting_flag){&table[number - FLAG_SETTING], value};
    line->sources.flags = line->flags;
    line->sources.flag_count++;
    return true;
}

static bool take_option(struct command_line *line, size_t number, const char *value) {
    const char **before = &line->option_values[number];
    if (*before && line->invocation.command->options[number].repeats) {
        struct text both = arena_format(&line->arena, "%s,%s", *before, value);
        *before = both.data;
        return both.data != NULL;
    }
    *before = value;
    return true;
}

static bool take_flag(struct command_line *line, int flag, const char *value) {
    if (flag == FLAG_HELP)
        line->wants_help = true;
    else if (flag == FLAG_CONFIG)
        line->sources.config = value;
    else if (flag >= FLAG_SETTING)
        return take_setting(line, flag, value);
    else
        return take_option(line, (size_t)(flag - FLAG_OPTION), value ? value : "");
    return true;
}

static int out_of_memory(const struct command_line *line) {
    return command_fail(&line->invocation, "out of memory");
}

// Reads the flags; what is left are the arguments. EXIT_SUCCESS or another exit status.
static int read_flags(struct command_line *line, int argc, char **argv) {
    struct option *options = make_long_options(line);
    if (!options)
        return out_of_memory(line);
    optind = 0; // start anew
    opterr = 0; // the messages are ours
    int flag;
    while ((flag = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (flag == '?')
            return refuse_flag(line, options, argv[optind - 1]);
        if (flag == ':')
            return command_misused(&line->invocation, "%s needs a value", argv[optind - 1]);
        if (!take_flag(line, flag, optarg))
            return out_of_memory(line);
    }
    line->invocation.arguments = argv + optind;
    line->invocation.argument_count = (size_t)(argc - optind);
    return EXIT_SUCCESS;
}

static int check_arguments(const struct invocation *invocation) {
    const struct command *command = invocation->command;
    if (invocation->argument_count < command->arguments_least)
        return command_misused(invocation, "an argument is missing: trestle %s %s", command->name,
                               command->synopsis);
    if (invocation->argument_count > command->arguments_most)
        return command_misused(invocation, "\"%s\" is one argument too many",
                               invocation->arguments[command->arguments_most]);
    return EXIT_SUCCESS;
}

// Options that no flag gave may come from their variables.
static void read_option_variables(struct command_line *line) {
    const struct command_option *option = line->invocation.command->options;
    for (size_t i = 0; option && option[i].name; i++) {
        char *const *item =
            line->option_values[i] || !option[i].variable ? NULL : line->sources.environment;
        size_t size = item ? strlen(option[i].variable) : 0;
        for (; item && *item; item++) {
            if (strncmp(*item, option[i].variable, size) == 0 && (*item)[size] == '=' &&
                (*item)[size + 1])
                line->option_values[i] = *item + size + 1;
        }
    }
}

static int refuse_settings(const struct command_line *line, const struct diagnostics *diagnostics) {
    struct buffer out = {0};
    diagnostics_print(diagnostics, &out);
    if (out.failed)
        command_fail(&line->invocation, "out of memory");
    else
        (void)fprintf(stderr, "%.*s", (int)out.size, out.data);
    buffer_free(&out);
    command_fail(&line->invocation, "the settings are not valid; nothing was done");
    return EXIT_USAGE;
}

static int run_with_settings(struct command_line *line) {
    const struct command *command = line->invocation.command;
    struct diagnostics diagnostics;
    struct settings settings;
    diagnostics_init(&diagnostics, &line->arena);
    line->sources.reads_secrets =
        (command->uses & (USED_BY_SERVE | USED_BY_IMPORT | USED_BY_EXPORT | USED_BY_AGENT)) != 0;
    if (!settings_read(&line->sources, &settings, &diagnostics))
        return refuse_settings(line, &diagnostics);
    line->invocation.settings = &settings;
    int status = command->run(&line->invocation);
    settings_free(&settings);
    return status;
}

static int run_command(struct command_line *line, int argc, char **argv) {
    const struct command *command = line->invocation.command;
    line->option_values =
        arena_allocate_zero(&line->arena, option_count(command) + 1, sizeof *line->option_values);
    if (!line->option_values)
        return out_of_memory(line);
    line->invocation.option_values = line->option_values;
    int status = read_flags(line, argc, argv);
    if (status == EXIT_SUCCESS && line->wants_help) {
        print_command(command);
        return EXIT_SUCCESS;
    }
    if (status == EXIT_SUCCESS)
        status = check_arguments(&line->invocation);
    if (status != EXIT_SUCCESS)
        return status;
    read_option_variables(line);
    return command->uses ? run_with_settings(line) : command->run(&line->invocation);
}

int command_main(const struct command *const *commands, int argc, char **argv,
                 char *const *environment) {
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        command_print_overview(commands);
        return EXIT_SUCCESS;
    }
    if (strcmp(name, "--version") == 0)
        name = "version";
    struct command_line line = {.sources = {.environment = environment}};
    line.invocation.commands = commands;
    line.invocation.command = find_command(commands, name);
    if (!line.invocation.command) {
        refuse_command(commands, name);
        return EXIT_USAGE;
    }
    int status = run_command(&line, argc - 1, argv + 1);
    arena_free(&line.arena);
    return status;
}

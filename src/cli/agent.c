#include "cli/agent.h"

#include "base/quantity.h"
#include "cli/agent_view.h"
#include "cli/claim_api.h"
#include "cli/remote.h"
#include "work/environment.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

// Milliseconds, and a count.
enum {
    LEASE_DEFAULT = 30000,
    LEASE_LEAST = 5000,
    LEASE_MOST = 3600000,
    GRACE_DEFAULT = 30000,
    TASK_GRACE = 5000,
    TICK = 200,
    CONCURRENCY_MOST = 256,
    KEY_FILE_MAX = 4096,
};

struct agent {
    const struct invocation *invocation;
    struct arena arena;
    uv_loop_t loop;
    uv_signal_t signals[3];
    uv_timer_t tick;
    struct client_server server;
    struct client *client;
    struct claim_api api;
    struct crew crew;
    struct agent_view view;
    uint64_t concurrency;
    uint64_t lease;
    uint64_t grace;
    bool is_stopping;
    bool is_stopped;
    bool is_refused;
};

// ---- What happens

static void on_event(struct crew *crew, enum crew_event event, const struct hand *hand,
                     const char *reason) {
    struct agent *agent = crew->options.owner;
    agent_view_tell(&agent->view, crew, event, hand, reason);
}

static void on_tick(uv_timer_t *timer) {
    struct agent *agent = timer->data;
    agent_view_update(&agent->view, &agent->crew);
}

static void on_reached(struct claim_api *api, const char *reason) {
    struct agent *agent = api->owner;
    if (*reason)
        agent_view_say(&agent->view, "%s does not answer, and is tried again: %s",
                       agent->server.url, reason);
    else
        agent_view_say(&agent->view, "%s answers again", agent->server.url);
}

static void on_refused(struct claim_api *api, const char *reason) {
    struct agent *agent = api->owner;
    agent_view_say(&agent->view, "no work may be claimed: %s", reason);
    agent->is_refused = true;
    agent->is_stopping = true;
    crew_stop(&agent->crew, agent->grace);
}

static void on_signal(uv_signal_t *signal, int number) {
    struct agent *agent = signal->data;
    if (agent->is_stopping) {
        crew_hurry(&agent->crew);
        return;
    }
    agent->is_stopping = true;
    if (agent->crew.busy)
        agent_view_say(&agent->view,
                       "stopping; commands that run may end within %llu s, a second signal ends "
                       "them now",
                       (unsigned long long)(agent->grace + 999) / 1000);
    crew_stop(&agent->crew, agent->grace);
}

static void on_stopped(struct crew *crew) {
    struct agent *agent = crew->options.owner;
    agent->is_stopped = true;
    uv_close((uv_handle_t *)&agent->tick, NULL);
    for (size_t i = 0; i < sizeof agent->signals / sizeof *agent->signals; i++)
        uv_close((uv_handle_t *)&agent->signals[i], NULL);
}

// ---- Its life

static bool watch_signals(struct agent *agent) {
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    bool ok = true;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        ok = uv_signal_init(&agent->loop, &agent->signals[i]) == 0 && ok;
        agent->signals[i].data = agent;
        ok = ok && uv_signal_start(&agent->signals[i], on_signal, numbers[i]) == 0;
    }
    (void)uv_timer_init(&agent->loop, &agent->tick); // neither of these can fail
    agent->tick.data = agent;
    return ok;
}

// libcurl waits for its connections and, with them, for whatever the loop waits for.
static void run_loop(struct agent *agent) {
    for (;;) {
        (void)uv_run(&agent->loop, UV_RUN_NOWAIT);
        if (agent->is_stopped)
            break;
        int timeout = uv_backend_timeout(&agent->loop);
        client_run_with(agent->client, uv_backend_fd(&agent->loop),
                        timeout < 0 ? INT_MAX : (unsigned)timeout);
    }
    (void)uv_run(&agent->loop, UV_RUN_DEFAULT); // what is closing
}

static bool start_crew(struct agent *agent) {
    const struct invocation *invocation = agent->invocation;
    const char *const *environment =
        environment_make(&agent->arena, invocation->settings->data, getenv("PATH"));
    struct crew_options options = {.size = (unsigned)agent->concurrency,
                                   .lease = agent->lease,
                                   .grace = TASK_GRACE,
                                   .environment = environment,
                                   .on_event = on_event,
                                   .on_stopped = on_stopped,
                                   .owner = agent};
    agent->api.crew = &agent->crew;
    agent->api.client = agent->client;
    agent->api.loop = &agent->loop;
    agent->api.command = (const char *const *)invocation->arguments;
    agent->api.lease = agent->lease;
    agent->api.transitions = invocation_option(invocation, "transition");
    agent->api.on_reached = on_reached;
    agent->api.on_refused = on_refused;
    agent->api.owner = agent;
    return environment && claim_api_open(&agent->api, options.size) &&
           agent_view_open(&agent->view, options.size) &&
           crew_start(&agent->crew, &agent->loop, &agent->api.source, &options);
}

static void close_handles(uv_handle_t *handle, void *ignored) {
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static int work(struct agent *agent) {
    struct failure failure;
    int status = EXIT_SUCCESS;
    agent->client = client_open(&agent->server, &failure);
    if (!agent->client || !watch_signals(agent) || !start_crew(agent)) {
        status = command_fail(agent->invocation, "out of memory, or of descriptors");
        uv_walk(&agent->loop, close_handles, NULL);
        (void)uv_run(&agent->loop, UV_RUN_DEFAULT);
    } else {
        (void)uv_timer_start(&agent->tick, on_tick, TICK, TICK);
        agent_view_say(&agent->view, "waiting for %s at %s", agent->api.transitions,
                       agent->server.url);
        run_loop(agent);
        agent_view_say(&agent->view, "stopped");
        status = agent->is_refused ? EXIT_FAILURE : EXIT_SUCCESS;
    }
    agent_view_close(&agent->view);
    claim_api_close(&agent->api);
    client_close(agent->client);
    return status;
}

// ---- Its options

static bool read_duration(const struct invocation *invocation, const char *name, uint64_t least,
                          uint64_t most, uint64_t *value, struct failure *failure) {
    const char *word = invocation_option(invocation, name);
    if (!word || (quantity_parse_duration(text_from_string(word), value) && *value >= least &&
                  *value <= most))
        return true;
    return failure_set(failure, FAILURE_INVALID_SETTING,
                       "--%s: \"%s\" is no time from %llu s to %llu s", name, word,
                       (unsigned long long)least / 1000, (unsigned long long)most / 1000);
}

static bool read_concurrency(struct agent *agent, struct failure *failure) {
    const char *word = invocation_option(agent->invocation, "concurrency");
    int64_t number = 1;
    if (word && (!text_to_integer(text_from_string(word), &number) || number < 1 ||
                 number > CONCURRENCY_MOST))
        return failure_set(failure, FAILURE_INVALID_SETTING,
                           "--concurrency: \"%s\" is no number from 1 to %d", word,
                           CONCURRENCY_MOST);
    agent->concurrency = (uint64_t)number;
    return true;
}

static bool check_transitions(const struct invocation *invocation, struct failure *failure) {
    const char *words = invocation_option(invocation, "transition");
    struct text rest = text_from_string(words);
    struct text name;
    if (!words)
        return failure_set(failure, FAILURE_INVALID_SETTING,
                           "--transition is missing: which one, as in packages.download");
    while (text_split(&rest, ',', &name)) {
        name = text_trim(name);
        ptrdiff_t dot = text_find(name, '.');
        if (dot < 1 || (size_t)dot + 1 == name.size || !text_is_utf8(name) ||
            text_find(text_from(name, (size_t)dot + 1), '.') >= 0)
            return failure_set(failure, FAILURE_INVALID_SETTING,
                               "--transition: \"%.*s\" is none; write RESOURCE.TRANSITION",
                               TEXT_ARGS(name));
    }
    return true;
}

// The first line of the file.
static bool read_key_file(struct agent *agent, struct failure *failure) {
    const char *path = invocation_option(agent->invocation, "key-file");
    char line[KEY_FILE_MAX] = "";
    if (!path)
        return true;
    FILE *file = fopen(path, "re");
    bool ok = file && fgets(line, sizeof line, file);
    int error = file && !ok && !ferror(file) ? ENODATA : errno;
    if (file)
        (void)fclose(file);
    if (!ok)
        return failure_set(failure, FAILURE_INVALID_SETTING, "--key-file: %s: %s", path,
                           strerror(error));
    line[strcspn(line, "\r\n")] = '\0';
    for (const char *c = line; *c; c++) {
        if (*c <= ' ' || *c > '~')
            return failure_set(failure, FAILURE_INVALID_SETTING,
                               "--key-file: an API key has visible ASCII characters only");
    }
    agent->server.key = arena_copy(&agent->arena, text_from_string(line)).data;
    explicit_bzero(line, sizeof line);
    return agent->server.key || failure_out_of_memory(failure);
}

static bool read_options(struct agent *agent, struct failure *failure) {
    const struct invocation *invocation = agent->invocation;
    return check_transitions(invocation, failure) && read_concurrency(agent, failure) &&
           read_duration(invocation, "lease", LEASE_LEAST, LEASE_MOST, &agent->lease, failure) &&
           read_duration(invocation, "grace", 0, INT_MAX, &agent->grace, failure) &&
           remote_name(invocation, &agent->arena, &agent->server, failure) &&
           read_key_file(agent, failure);
}

static int run(const struct invocation *invocation) {
    struct agent *agent = calloc(1, sizeof *agent);
    struct failure failure;
    if (!agent || uv_loop_init(&agent->loop) != 0) {
        free(agent);
        return command_fail(invocation, "no event loop can be made");
    }
    agent->invocation = invocation;
    agent->lease = LEASE_DEFAULT;
    agent->grace = GRACE_DEFAULT;
    int status = read_options(agent, &failure) ? work(agent)
                                               : command_misused(invocation, "%s", failure.detail);
    (void)uv_loop_close(&agent->loop);
    arena_free(&agent->arena);
    free(agent);
    return status;
}

static const struct command_option options[] = {
    {.name = "transition",
     .placeholder = "NAME",
     .help = "what to work on: packages.download; several with commas between"},
    {.name = "concurrency", .placeholder = "NUMBER", .help = "how many commands run at once [1]"},
    {.name = "grace",
     .placeholder = "DURATION",
     .help = "for commands to end by themselves when the agent is to stop [30s]"},
    {.name = "lease",
     .placeholder = "DURATION",
     .help = "in whole seconds; so long after the agent was lost somebody else begins [30s]"},
    {.name = "server",
     .placeholder = "URL",
     .variable = "TRESTLE_SERVER",
     .help = "whose operations; http://..., https://... or unix:PATH; else one at `listen`"},
    {.name = "key",
     .placeholder = "KEY",
     .variable = "TRESTLE_KEY",
     .help = "an API key with the scope RESOURCE:run; else the admin_key of the settings"},
    {.name = "key-file",
     .placeholder = "FILE",
     .variable = "TRESTLE_KEY_FILE",
     .help = "a file with that key"},
    {.name = NULL},
};

const struct command agent_command = {
    .name = "agent",
    .synopsis = "--transition NAME -- COMMAND [ARGUMENT...]",
    .summary = "Work on a server's operations, from anywhere",
    .description =
        "Claims one operation after another and runs COMMAND for each, without a shell: the record "
        "is\n"
        "JSON on its standard input; lines \"progress 40\" and \"detail TEXT\" on its standard "
        "output tell\n"
        "how far it is, and a JSON object as its last line sets properties. An exit status other "
        "than 0\n"
        "is a failure, whose reason is the end of its standard error. It gets no environment but "
        "PATH,\n"
        "HOME, LANG, TRESTLE_DATA, TRESTLE_OPERATION, TRESTLE_ATTEMPT and what the definition "
        "declares.\n"
        "\n"
        "It runs until SIGTERM or SIGINT: then it claims nothing more, waits for commands for "
        "--grace,\n"
        "and hands back what is not done; a second signal does that at once. It outlasts restarts "
        "of the\n"
        "server and of the network: a command goes on until its lease is nearly over. The exit "
        "status\n"
        "is 0, or 1 where the server does not let it claim.\n",
    .options = options,
    .uses = USED_BY_AGENT,
    .arguments_least = 1,
    .arguments_most = UINT_MAX,
    .examples =
        "  trestle agent --transition packages.download -- trestle fetch\n"
        "  trestle agent --transition videos.encode --concurrency 2 --key-file /etc/agent.key \\\n"
        "      --server https://shop.example.org -- /usr/local/bin/encode --fast\n",
    .run = run,
};

#include "cli/backup.h"

#include "base/progress.h"
#include "store/sqlite/sqlite_store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// One run, with all that must be freed after it.
struct run {
    const char *database;
    const char *path;
    char *temporary; // what is written meanwhile, in the same folder
    bool replaces;
    sigset_t signals; // that end the program
    struct progress progress;
};

static bool refuse(const struct run *run, const char *doing, int error, struct failure *failure) {
    return failure_set(failure, FAILURE_UNAVAILABLE, "%s cannot be %s: %s", run->path, doing,
                       strerror(error));
}

// Whether the file may be put there; what is in its place is left alone, unless it is a file that
// may be replaced.
static bool check_place(const struct run *run, struct failure *failure) {
    struct stat there;
    struct stat database;
    if (lstat(run->path, &there) != 0)
        return errno == ENOENT || refuse(run, "written", errno, failure);
    if (!S_ISREG(there.st_mode))
        return failure_set(failure, FAILURE_REFUSED, "%s is there, and is no file", run->path);
    if (stat(run->database, &database) == 0 && there.st_dev == database.st_dev &&
        there.st_ino == database.st_ino)
        return failure_set(failure, FAILURE_REFUSED, "%s is the database itself", run->path);
    return run->replaces ||
           failure_set(failure, FAILURE_REFUSED, "%s is there already; with --force it is replaced",
                       run->path);
}

// The signals that end the program, but for those that it is to ignore.
static void list_signals(sigset_t *ret_signals) {
    static const int numbers[] = {SIGHUP, SIGINT, SIGTERM};
    sigemptyset(ret_signals);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction action;
        if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(ret_signals, numbers[i]);
    }
}

// One of them ends the backup first, so that no part of it is left behind.
static bool on_progress(void *context, uint64_t done, uint64_t total) {
    struct run *run = context;
    sigset_t pending;
    progress_set_total(&run->progress, total);
    progress_update(&run->progress, done);
    if (sigpending(&pending) != 0 || sigandset(&pending, &pending, &run->signals) != 0)
        return true;
    return sigisemptyset(&pending);
}

// Somebody else may have put something there meanwhile. Not every file system can look and rename
// in one go.
static bool move_into_place(const struct run *run, struct failure *failure) {
    unsigned flags = run->replaces ? 0 : RENAME_NOREPLACE;
    int error = renameat2(AT_FDCWD, run->temporary, AT_FDCWD, run->path, flags) == 0 ? 0 : errno;
    if (error == EINVAL && flags)
        error = rename(run->temporary, run->path) == 0 ? 0 : errno;
    return error == 0 || refuse(run, run->replaces ? "replaced" : "made", error, failure);
}

// So that the name lasts as what it names does.
static bool sync_folder(const struct run *run, struct failure *failure) {
    const char *slash = strrchr(run->path, '/');
    size_t size = slash ? (size_t)(slash - run->path) : 0;
    char *folder = slash ? strndup(run->path, size ? size : 1) : strdup(".");
    if (!folder)
        return failure_out_of_memory(failure);
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    int error = descriptor >= 0 && fsync(descriptor) == 0 ? 0 : errno;
    if (descriptor >= 0)
        close(descriptor);
    // Some file systems cannot, and need not.
    return error == 0 || error == EINVAL || refuse(run, "synced", error, failure);
}

static bool back_up(struct run *run, struct failure *failure) {
    struct sqlite_backup backup = {
        .path = run->database, .copy = run->temporary, .on_progress = on_progress, .context = run};
    if (!sqlite_store_backup(&backup, failure))
        return false;
    if (!move_into_place(run, failure)) {
        (void)unlink(run->temporary);
        return false;
    }
    return sync_folder(run, failure);
}

static bool run_with_progress(struct run *run, struct failure *failure) {
    if (!check_place(run, failure))
        return false;
    if (asprintf(&run->temporary, "%s.%ld.part", run->path, (long)getpid()) < 0) {
        run->temporary = NULL;
        return failure_out_of_memory(failure);
    }
    sigset_t before;
    list_signals(&run->signals);
    (void)pthread_sigmask(SIG_BLOCK, &run->signals, &before);
    progress_start(&run->progress, &(struct progress_work){.label = "Backing up"});
    bool ok = back_up(run, failure);
    if (ok)
        progress_finish(&run->progress);
    else
        progress_hide(&run->progress);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL); // which may end it now
    free(run->temporary);
    return ok;
}

static int run(const struct invocation *invocation) {
    const struct settings *settings = invocation->settings;
    struct run run = {.database = settings->database.path,
                      .path = invocation->arguments[0],
                      .replaces = invocation_option(invocation, "force") != NULL};
    struct failure failure;
    if (settings->database.dialect != STORE_SQLITE)
        return command_fail(invocation, "the database is PostgreSQL's, which has its own tool: "
                                        "pg_dump --format=custom --file=FILE URL");
    if (strcmp(run.path, "-") == 0)
        return command_misused(invocation, "a backup goes to a file, not to standard output");
    if (!run_with_progress(&run, &failure))
        return command_fail(invocation, "%s", failure.detail);
    return EXIT_SUCCESS;
}

static const struct command_option options[] = {
    {.name = "force", .help = "replace FILE where it is there"},
    {.name = NULL},
};

const struct command backup_command = {
    .name = "backup",
    .synopsis = "FILE",
    .summary = "Copy a SQLite database that is in use to a file",
    .description =
        "FILE is a database itself, as the whole was at one moment: every write that was\n"
        "answered before is in it, and none that came later. Servers go on reading and\n"
        "writing meanwhile; the log beside the database (-wal) grows until the backup is\n"
        "done. FILE appears whole and checked, or not at all. Only its owner may read it, for\n"
        "it has the digest of the administrator's key.\n"
        "\n"
        "To go back to it, stop the server, put a copy of FILE in the database's place,\n"
        "remove the database's -wal and -shm, and start the server. PostgreSQL is backed up\n"
        "by pg_dump.\n",
    .options = options,
    .uses = USED_BY_BACKUP,
    .arguments_least = 1,
    .arguments_most = 1,
    .examples = "  trestle backup backup.db\n"
                "  trestle backup --database sqlite:/var/lib/trestle/trestle.db \\\n"
                "      /backup/trestle-$(date +%F).db\n"
                "  trestle export packages --database sqlite:backup.db\n",
    .run = run,
};

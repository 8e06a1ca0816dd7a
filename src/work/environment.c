#include "work/environment.h"

#include <limits.h>
#include <unistd.h>

static const char usual_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const char *const *environment_make(struct arena *arena, const char *data, const char *path) {
    char here[PATH_MAX] = "";
    const char **list = arena_allocate_zero(arena, 5, sizeof *list);
    if (!list)
        return NULL;
    if (data[0] != '/' && !getcwd(here, sizeof here))
        here[0] = '\0'; // the folder was removed: what is relative to it is nowhere
    list[0] = arena_format(arena, "PATH=%s", path && *path ? path : usual_path).data;
    list[1] = "HOME=/";
    list[2] = "LANG=C.UTF-8";
    list[3] = arena_format(arena, "TRESTLE_DATA=%s%s%s", here, *here ? "/" : "", data).data;
    return list[0] && list[3] ? list : NULL;
}

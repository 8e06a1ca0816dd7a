// The main of a fuzz target where there is no libFuzzer: feeds it each file of the folders (or each
// file) named on the command line, so that whatever once broke it is tried by every test run.
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static int replay_file(const char *path) {
    FILE *file = fopen(path, "rb");
    struct stat status;
    if (file == NULL || fstat(fileno(file), &status) != 0) {
        perror(path);
        if (file != NULL)
            fclose(file);
        return -1;
    }
    // Exactly as large as the file, so that ASan sees a read of one byte more.
    size_t size = (size_t)status.st_size;
    uint8_t *bytes = malloc(size > 0 ? size : 1);
    int result = -1;
    if (bytes != NULL && fread(bytes, 1, size, file) == size) {
        LLVMFuzzerTestOneInput(bytes, size);
        result = 0;
    } else {
        perror(path);
    }
    free(bytes);
    fclose(file);
    return result;
}

static int replay_folder(const char *path, DIR *folder) {
    int result = 0;
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        char name[PATH_MAX];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (replay_file(name) != 0)
            result = -1;
    }
    return result;
}

int main(int argc, char **argv) {
    int result = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        int failed = folder != NULL ? replay_folder(argv[i], folder) : replay_file(argv[i]);
        if (failed != 0)
            result = 1;
        if (folder != NULL)
            closedir(folder);
    }
    return result;
}

// The cluster that tests share (tools/postgres_cluster): the file that stands for it is named by
// the variable POSTGRES_CLUSTER.
#pragma once

#include "store/postgres/postgres_store.h"
#include "unit/testing.h"

#include <stdio.h>
#include <stdlib.h>

// The URL of the cluster's own database.
static inline void postgres_cluster_url(char *url, size_t size) {
    const char *name = getenv("POSTGRES_CLUSTER");
    FILE *file = name ? fopen(name, "r") : NULL;
    if (!file || !fgets(url, (int)size, file))
        fail_msg("POSTGRES_CLUSTER must name a file that tools/postgres_cluster has written");
    (void)fclose(file);
    url[strcspn(url, "\n")] = '\0';
}

// Runs one statement that must succeed.
static inline void postgres_do(const char *url, const char *sql) {
    struct failure failure;
    struct statement statement = {.sql = text_from_string(sql), .once = true};
    struct call call = {.statement = &statement, .expect = EXPECT_ANY};
    struct job job = {.kind = JOB_WRITE, .calls = &call, .call_count = 1};
    struct store *store =
        postgres_store_open(&(struct postgres_options){.url = url}, NULL, &failure);
    if (!store || !store_run(store, &job, &failure))
        fail_msg("%s: %s", sql, failure.detail);
    store_close(store);
}

// The URL by which tables are made and found in a schema, which is made where it is missing.
static inline void postgres_schema_url(const char *schema, char *url, size_t size) {
    char sql[128];
    postgres_cluster_url(url, size);
    (void)snprintf(sql, sizeof sql, "CREATE SCHEMA IF NOT EXISTS %s", schema);
    postgres_do(url, sql);
    size_t used = strlen(url);
    (void)snprintf(url + used, size - used, "?options=-csearch_path%%3D%s", schema);
}

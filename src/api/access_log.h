// The access log's line about one request.
#pragma once

#include "api/exchange.h"

// Logs an answered request; a key in the query is not shown.
void access_log_write(struct log *log, const struct http_request *request, unsigned status,
                      size_t body_size);

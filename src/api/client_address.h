// From where a request comes: the address of the peer, or, where that is a proxy that is trusted,
// the one that the proxy tells of.
#pragma once

#include "api/exchange.h"

// The step that fills exchange->client.
enum step_result client_address_find(struct exchange *exchange);

#include "api/client_address.h"

#include "api/proxies.h"

enum step_result client_address_find(struct exchange *exchange) {
    static const char *const fields[] = {
        [PROXY_X_FORWARDED_FOR] = "X-Forwarded-For",
        [PROXY_FORWARDED] = "Forwarded",
    };
    const struct proxies *proxies = exchange->service->options->proxies;
    struct http_request *request = exchange->request;
    struct text value;
    exchange->client = request->address;
    if (!proxies || !network_list_contains(&proxies->trusted, &exchange->client))
        return STEP_NEXT;
    // Where there is no memory to join several fields, it is as if there were none: the proxy's.
    if (http_field_joined(request, fields[proxies->field], &value) && value.data)
        proxies_follow(proxies, value, &exchange->client);
    return STEP_NEXT;
}

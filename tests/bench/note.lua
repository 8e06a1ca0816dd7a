-- Posts records with a text of SIZE bytes to TARGET.

local size = tonumber(os.getenv("SIZE"))

function init(args)
    local body = '{"text":"' .. string.rep("n", size) .. '"}'
    whole = "POST " .. os.getenv("TARGET") .. " HTTP/1.1\r\nHost: bench\r\n"
        .. "Content-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

function request()
    return whole
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '\nRESULT {"requests": %d, "microseconds": %d, "errors": %d}\n',
        summary.requests, summary.duration,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end

-- Posts messages, each of which is new. SIZE is a message's length in bytes.

local size = tonumber(os.getenv("SIZE"))
local count = 0
local threads = {}

function setup(thread)
    threads[#threads + 1] = thread
end

function init(args)
    local filler = string.rep("m", size - 12)
    local head = "POST /messages HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: "
        .. (size + 14) .. "\r\n\r\n"
    start = head .. '{"message":"'
    finish = filler .. '"}'
end

function request()
    count = count + 1
    return start .. string.format("%012d", count) .. finish
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '\nRESULT {"requests": %d, "microseconds": %d, "errors": %d, "p50": %d, "p99": %d}\n',
        summary.requests, summary.duration,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50), latency:percentile(99)))
end

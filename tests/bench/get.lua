-- Asks for stored messages at random. DIGESTS is a file with a digest a line; the message of line N
-- begins with "N ". With CHECK=yes each answer is compared with that; else wrk counts the statuses.

local digests = {}
local requests = {} -- made before the clock runs: the load shares a core with what is measured
local threads = {}

function setup(thread)
    threads[#threads + 1] = thread
end

function init(args)
    math.randomseed(tonumber(os.getenv("SEED") or "1"))
    for digest in io.lines(os.getenv("DIGESTS")) do
        digests[#digests + 1] = digest
        requests[#requests + 1] =
            "GET /messages/" .. digest .. " HTTP/1.1\r\nHost: bench\r\n\r\n"
    end
    wrong = 0 -- globals, for done
    checked = 0
end

function request()
    return requests[math.random(#requests)]
end

if os.getenv("CHECK") == "yes" then
    function response(status, headers, body)
        local digest, number = string.match(body, '^{"digest":"(%x+)","message":"(%d+) [^"]*"}$')
        checked = checked + 1
        if status ~= 200 or not digest or digests[tonumber(number)] ~= digest then
            wrong = wrong + 1
        end
    end
end

function done(summary, latency, requests)
    local wrong, checked = 0, 0
    for _, thread in ipairs(threads) do
        wrong = wrong + (thread:get("wrong") or 0)
        checked = checked + (thread:get("checked") or 0)
    end
    local errors = summary.errors
    io.write(string.format(
        '\nRESULT {"requests": %d, "microseconds": %d, "errors": %d, "checked": %d, "wrong": %d, "p50": %d, "p99": %d}\n',
        summary.requests, summary.duration,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout, checked, wrong,
        latency:percentile(50), latency:percentile(99)))
end

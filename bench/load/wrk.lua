-- Posts the file named by the first argument; prints what was counted as one line of JSON. Latencies are microseconds.
function init(args)
  local file = io.open(args[1], "rb")
  wrk.method = "POST"
  wrk.body = file:read("*a")
  wrk.headers["Content-Type"] = "application/json"
  file:close()
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\n{"answers": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "failed": %d, "refused": %d}\n',
    summary.requests - e.status, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.timeout, e.status))
end

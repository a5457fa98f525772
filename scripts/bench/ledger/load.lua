-- wrk's script: transfers (and balance reads) between random accounts, a new key each time.
--
-- Environment: BENCH_ACCOUNTS a file with one account id a line; BENCH_RUN the prefix of all keys
-- of this run; BENCH_PORTS the ports over which threads are spread, with commas between;
-- BENCH_READS the share of balance reads (0 to 1); BENCH_HOT "source" or "destination": the first
-- account of the file stands there in every transfer, and nowhere else.

local threads = 0

function setup(thread)
   local addresses = {}
   for port in os.getenv("BENCH_PORTS"):gmatch("%d+") do
      addresses[#addresses + 1] = wrk.lookup("127.0.0.1", port)[1]
   end
   thread.addr = addresses[threads % #addresses + 1]
   thread:set("number", threads)
   threads = threads + 1
end

local accounts, run, reads, hot = {}, "", 0, ""
local count = 0
local POST = "POST /ledger/transfer/ HTTP/1.1\r\nHost: ledger\r\n"
   .. "Content-Type: application/json\r\nIdempotency-Key: %s-%d-%d\r\nContent-Length: %d\r\n\r\n%s"
local BODY = '{"source_account_id":"%s","destination_account_id":"%s","amount":"%d.%02d",'
   .. '"currency":"USD","metadata":{"description":"bench"}}'
local GET = "GET /ledger/account/%s/balance HTTP/1.1\r\nHost: ledger\r\n\r\n"

function init(args)
   for line in io.lines(os.getenv("BENCH_ACCOUNTS")) do accounts[#accounts + 1] = line end
   run = os.getenv("BENCH_RUN")
   reads = tonumber(os.getenv("BENCH_READS"))
   hot = os.getenv("BENCH_HOT")
   math.randomseed(number + 1)
end

function request()
   if reads > 0 and math.random() < reads then
      return GET:format(accounts[math.random(2, #accounts)])
   end
   local source = math.random(2, #accounts)
   local destination = math.random(2, #accounts - 1)
   if destination >= source then destination = destination + 1 end
   if hot == "source" then source = 1 end
   if hot == "destination" then destination = 1 end
   local body = BODY:format(
      accounts[source], accounts[destination], math.random(0, 9), math.random(1, 99))
   count = count + 1
   return POST:format(run, number, count, #body, body)
end

function done(summary, latency, requests)
   local errors = summary.errors
   print(string.format(
      'JSON {"requests":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"p999_ms":%.3f,'
      .. '"max_ms":%.3f,"status":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d}',
      summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
      latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3, latency.max / 1e3,
      errors.status, errors.connect, errors.read, errors.write, errors.timeout))
end

-- Requests of wrk for the ids in a file, one after the other from a random one on:
-- wrk -t1 -c8 -d20s --latency -s bench/api.lua http://127.0.0.1:8080 -- IDS /api/related/ '?k=20'
local ids, before, after, at = {}, "", "", 1

local function escaped(text)
  return (text:gsub("[^%w%-_%.~]", function(c) return string.format("%%%02X", string.byte(c)) end))
end

function init(args)
  for line in io.lines(args[1]) do ids[#ids + 1] = escaped(line) end
  before, after = args[2], args[3] or ""
  math.randomseed(os.time())
  at = math.random(#ids)
end

function request()
  at = at % #ids + 1
  return wrk.format("GET", before .. ids[at] .. after)
end

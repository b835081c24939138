-- The everyday part of the sample: wrk sends $requests_max requests of a mix and stops.

local limit = tonumber(os.getenv("requests_max"))
local sent = 0

local agents = {
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
  "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
  "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
  "python-requests/2.32.3",
  "Boutique-Caf\195\169/2.1 (iOS 18.1; \195\142le-de-France)",
  "Mozilla/5.0 (Linux; Android 14; \"Lenovo TB\") AppleWebKit/537.36",
  "C:\\Program Files\\Agent\\agent.exe",
}
local referers = {
  "https://shop.example.com/", "https://www.google.com/",
  "https://shop.example.com/search?q=\"tents\"", "https://example.org/caf\195\169",
}
local paths = {
  "/", "/index.html", "/static/17.txt", "/static/512.txt", "/static/4096.txt",
  "/static/65536.txt", "/api/v1/products/%d", "/api/v1/users/%d/orders?limit=20",
  "/search?q=winter+jackets&page=%d", "/found", "/moved", "/empty", "/created", "/favicon.ico",
  "/proxy/static/512.txt?n=%d", "/caf%%C3%%A9/men%%C3%%BC.txt", "/broken", "/busy",
  "/private/reports/%d", "/forbidden", "/missing/%d.html", "/maintenance", "/gone-backend",
}
-- The earlier in the list, the more often; the last ones are the failures.
local function path()
  local first, second = math.random(#paths), math.random(#paths)
  return string.format(paths[math.min(first, second)], math.random(90000))
end

function request()
  sent = sent + 1
  if sent % 8 == 0 then
    return wrk.format("GET", "/healthz", { ["User-Agent"] = "kube-probe/1.29" })
  end
  local headers = { ["User-Agent"] = agents[math.random(#agents)] }
  headers["X-Forwarded-For"] = sent % 9 == 0
      and string.format("2001:db8:%x::%x", math.random(65535), math.random(65535))
      or string.format("203.0.113.%d", math.random(254))
  if math.random(2) == 1 then headers["Referer"] = referers[math.random(#referers)] end
  if math.random(12) == 1 then headers["If-Modified-Since"] = "Fri, 01 Jan 2100 00:00:00 GMT" end
  local kind = math.random(20)
  -- No HEAD: wrk would wait for the body that the answer announces.
  if kind == 1 then return wrk.format("PATCH", path(), headers, "[]") end
  if kind == 2 then return wrk.format("POST", path(), headers, "name=value&count=3") end
  if kind == 3 then return wrk.format("PUT", "/api/v1/carts/" .. sent, headers, "{}") end
  if kind == 4 then return wrk.format("DELETE", "/api/v1/carts/" .. sent, headers) end
  return wrk.format("GET", path(), headers)
end

function response()
  if sent >= limit then wrk.thread:stop() end
end

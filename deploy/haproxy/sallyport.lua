-- sallyport.lua: asks Sallyport whether a request may pass, and who it is.
-- It sets txn.sallyport to "allowed" after a 200; all else is answered here.

local gateway = os.getenv("SALLYPORT")
assert(gateway, "sallyport.lua: write `setenv SALLYPORT ipv4@127.0.0.1:9091` before lua-load-per-thread")

-- Names that say who somebody is or where a request came from, as letters and
-- digits alone: an application may read X_Forwarded_User and Remote.User too.
local families = {
	"remote", "xremote", "xauthrequest", "xauthentik", "sallyport",
	"xforwarded", "xoriginal", "forwarded", "xrealip", "xclientip", "trueclientip",
	"xrewrite", "xenvoyoriginal",
}

local function ours(name)
	local letters = name:lower():gsub("[^a-z0-9]", "")
	for _, family in ipairs(families) do
		if letters:sub(1, #family) == family then return true end
	end
	return false
end

-- What belongs to this connection and its body, not to the question.
local hop = {
	host = true, connection = true, upgrade = true, expect = true, te = true, trailer = true,
	["keep-alive"] = true, ["proxy-connection"] = true,
	["content-length"] = true, ["transfer-encoding"] = true,
}

-- What a refusal brings to the client.
local passed = {
	["location"] = true, ["www-authenticate"] = true, ["retry-after"] = true,
	["content-type"] = true, ["x-content-type-options"] = true,
}
local statuses = {
	[302] = true, [303] = true, [400] = true, [401] = true, [403] = true,
	[405] = true, [429] = true, [431] = true, [503] = true,
}

-- HAProxy counts a header's values from 0.
local function list(values)
	local out = {}
	for i = 0, #values do out[#out + 1] = values[i] end
	return out
end

-- strip removes what the client may not say, in every spelling, and returns the
-- headers that go along with the question.
local function strip(http)
	local question = {}
	for name, values in pairs(http:req_get_headers()) do
		if ours(name) then
			http:req_del_header(name)
		elseif not hop[name] then
			question[name] = list(values)
		end
	end
	-- Connection may name headers that the next hop must drop: ours, for example.
	http:req_del_header("connection")
	-- Any upgrade but a WebSocket (h2c) would be a tunnel for requests that nobody judged.
	local upgrade = http:req_get_headers()["upgrade"]
	if upgrade and #upgrade == 0 and upgrade[0]:lower() == "websocket" then
		http:req_set_header("connection", "upgrade")
	else
		http:req_del_header("upgrade")
	end
	http:req_del_header("http2-settings")
	http:req_del_header("trailer")
	return question
end

-- What a person sees who is not admitted; programs get the gateway's own words.
-- It names no user and repeats nothing of the request: write your own words here,
-- and whom to ask.
local denied = [[<!doctype html>
<html lang="en"><head><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><title>No access</title>
<style>body { font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 4rem auto; padding: 0 1rem }</style></head>
<body><main><h1>No access</h1>
<p>You may not open this page. If you should, ask an administrator.</p>
<p>If you have another account that may, <a href="/sallyport/logout">sign out</a> and sign in with that one.</p>
<p><a href="/sallyport/">Go to the start page</a> to see who you are signed in as.</p>
</main></body></html>
]]
local policy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'unsafe-inline'"

-- person reports whether somebody waits for a page, as the gateway decides it.
local function person(question)
	local function sent(name) return question[name] and question[name][1] or "" end
	if sent("sec-fetch-mode") ~= "" then return sent("sec-fetch-mode") == "navigate" end
	return sent("sec-fetch-site") == "" and sent("x-requested-with") == "" and sent("accept"):find("text/html", 1, true) ~= nil
end

local function refuse(txn, question, answer)
	local status = answer and answer.status or 0
	if not statuses[status] then
		status, answer = 503, nil
	end
	local reply = txn:reply({ status = status })
	reply:add_header("cache-control", "no-store")
	if status == 403 and person(question) then
		reply:add_header("content-type", "text/html; charset=utf-8")
		reply:add_header("content-security-policy", policy)
		reply:add_header("x-content-type-options", "nosniff")
		reply:set_body(denied)
	elseif answer then
		for name, values in pairs(answer.headers) do
			if passed[name] then
				for _, value in ipairs(list(values)) do reply:add_header(name, value) end
			end
		end
		reply:set_body(answer.body or "")
	end
	txn:done(reply)
end

-- replace sets a header, or removes it where there is nothing to say.
local function replace(http, name, values)
	local value = values and values[0] or ""
	if value == "" then
		http:req_del_header(name)
	else
		http:req_set_header(name, value)
	end
end

core.register_action("sallyport", { "http-req" }, function(txn)
	local question = strip(txn.http)
	question["x-forwarded-method"] = { txn.sf:method() }
	question["x-forwarded-proto"] = { tostring(txn.sf:ssl_fc()) == "1" and "https" or "http" }
	question["x-forwarded-host"] = { txn.sf:req_fhdr("host") }
	question["x-forwarded-uri"] = { txn.sf:pathq() } -- raw, as the application gets it
	question["x-forwarded-for"] = { txn.sf:src() }
	local answer = core.httpclient():get({
		url = "http://127.0.0.1/sallyport/authz/forward-auth", -- dst says where
		dst = gateway,
		headers = question,
		timeout = 10000,
	})
	if not answer or answer.status ~= 200 then
		return refuse(txn, question, answer)
	end
	for name, values in pairs(answer.headers) do
		if ours(name) and name ~= "sallyport-authorization" then
			txn.http:req_set_header(name, values[0] or "") -- identity: also when it is empty
		end
	end
	replace(txn.http, "cookie", answer.headers["cookie"])
	if answer.headers["sallyport-authorization"] then
		txn.http:req_del_header("authorization")
	end
	txn:set_var("txn.sallyport", "allowed")
end)

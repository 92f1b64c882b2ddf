-- What stands between a script and Lua: the globals that Redis gives scripts, and nothing else.
--
-- It is called with what Rust provides, and answers with what readies a script, and with what runs
-- it. Errors out of Rust are no Lua values: a script that catches one has it made into what Redis would have
-- raised (`unwrap`), and passes one on that ends the script, whatever the script would do with it.

local native = ...
local unwrap, compile = native.unwrap, native.compile

local getfenv, setfenv, getmetatable, setmetatable = getfenv, setfenv, getmetatable, setmetatable
local rawget, rawset, type, error, pcall, xpcall = rawget, rawset, type, error, pcall, xpcall
local tostring, select, floor, sub, find = tostring, select, math.floor, string.sub, string.find
local byte, concat, resume, gcinfo = string.byte, table.concat, coroutine.resume, gcinfo
local ours = getfenv()

-- Tables that a script may read and not change, by what stands for them.
local protected = {}

local function readonly()
  error('Attempt to modify a readonly table', 2)
end

local function protect(hidden)
  local shown = setmetatable({}, { __index = hidden, __newindex = readonly, __metatable = false })
  protected[shown], protected[hidden] = true, true
  return shown
end

-- Errors --------------------------------------------------------------------------------------------

-- What was raised, as Redis would have raised it. Ends the script if it is to end.
local function caught(raised)
  if type(raised) ~= 'userdata' then return raised end
  local value, ends = unwrap(raised)
  if ends then error(raised, 0) end
  return value
end

local function settled_text(ok, ...)
  if ok then return true, ... end
  local raised = caught((...))
  if type(raised) == 'table' then
    local text = raised.err
    if type(text) == 'string' or type(text) == 'number' then return false, text end
  end
  return false, raised
end

local function settled(ok, ...)
  if ok then return true, ... end
  return false, caught((...))
end

local function number_of(name, at, value)
  local number = tonumber(value)
  if not number then
    local got = value == nil and 'no value' or type(value)
    error("bad argument #" .. at .. " to '" .. name .. "' (number expected, got " .. got .. ')', 3)
  end
  -- As C would cut it.
  return number >= 0 and floor(number) or -floor(-number)
end

local function text_of(name, at, value)
  local kind = type(value)
  if kind == 'number' then return tostring(value) end
  if kind ~= 'string' then
    local got = value == nil and 'no value' or kind
    error("bad argument #" .. at .. " to '" .. name .. "' (string expected, got " .. got .. ')', 3)
  end
  return value
end

-- Strings: what could run for long within one instruction is replaced ----------------------------------

string.find, string.match, string.rep, string.dump = native.find, native.match, native.rep, nil
math.random, math.randomseed = native.random, native.randomseed
local seek = native.seek

function string.gmatch(text, pattern)
  text, pattern = text_of('gmatch', 1, text), text_of('gmatch', 2, pattern)
  local from = 1
  local function told(first, last, ...)
    if not first then from = #text + 2 return nil end
    from = last < first and first + 1 or last + 1
    if select('#', ...) == 0 then return sub(text, first, last) end
    return ...
  end
  return function()
    if from > #text + 1 then return nil end
    return told(seek(text, pattern, from, false, true))
  end
end
string.gfind = string.gmatch

local function expanded(template, whole, captures)
  local parts, count, at = {}, 0, 1
  while true do
    local sign = find(template, '%', at, true)
    count = count + 1
    if not sign then
      parts[count] = sub(template, at)
      return concat(parts)
    end
    parts[count] = sub(template, at, sign - 1)
    local which = byte(template, sign + 1)
    count = count + 1
    if not which then
      parts[count] = '\0'
    elseif which == 48 then
      parts[count] = whole
    elseif which > 48 and which <= 57 then
      local capture = captures[which - 48]
      if which == 49 and captures.n == 0 then capture = whole end
      if capture == nil then error('invalid capture index', 4) end
      parts[count] = tostring(capture)
    else
      parts[count] = sub(template, sign + 1, sign + 1)
    end
    at = sign + 2
  end
end

function string.gsub(text, pattern, by, most)
  text, pattern = text_of('gsub', 1, text), text_of('gsub', 2, pattern)
  local kind = type(by)
  if kind == 'number' then by, kind = tostring(by), 'string' end
  if kind ~= 'string' and kind ~= 'table' and kind ~= 'function' then
    error("bad argument #3 to 'gsub' (string/function/table expected)", 2)
  end
  most = most == nil and #text + 1 or number_of('gsub', 4, most)
  local is_anchored = byte(pattern) == 94
  if is_anchored then pattern = sub(pattern, 2) end
  local parts, count, done, at = {}, 0, 0, 1
  local function add(first, last, ...)
    local whole, value = sub(text, first, last), nil
    if kind == 'string' then
      value = expanded(by, whole, { n = select('#', ...), ... })
    elseif kind == 'table' then
      local key = ...
      if select('#', ...) == 0 then key = whole end
      value = by[key]
    elseif select('#', ...) == 0 then
      value = by(whole)
    else
      value = by(...)
    end
    if not value then
      value = whole
    elseif type(value) ~= 'string' and type(value) ~= 'number' then
      error('invalid replacement value (a ' .. type(value) .. ')', 3)
    end
    count = count + 1
    parts[count] = value
  end
  local function step(first, last, ...)
    if not first then return false end
    count = count + 1
    parts[count] = sub(text, at, first - 1)
    add(first, last, ...)
    done = done + 1
    at = last + 1
    if last < first then
      count = count + 1
      parts[count] = sub(text, first, first)
      at = first + 1
    end
    return not is_anchored and at <= #text + 1
  end
  -- What is set apart is looked at only if it is wanted, as in Lua.
  local wants = kind ~= 'string' or find(by, '%%%d') ~= nil
  while done < most and step(seek(text, pattern, at, is_anchored, wants)) do end
  parts[count + 1] = sub(text, at)
  return concat(parts), done
end

-- Sorting, in Lua, so that each comparison counts as what it takes -------------------------------------

local function less(one, other) return one < other end

local function sort(list, low, high, is_less)
  while low < high do
    local a, b = list[low], list[high]
    if is_less(b, a) then list[low], list[high] = b, a end
    if high - low == 1 then return end
    local middle = floor((low + high) / 2)
    a, b = list[middle], list[low]
    if is_less(a, b) then
      list[middle], list[low] = b, a
    else
      b = list[high]
      if is_less(b, a) then list[middle], list[high] = b, a end
    end
    if high - low == 2 then return end
    local pivot = list[middle]
    list[middle], list[high - 1] = list[high - 1], pivot
    local up, down = low, high - 1
    while true do
      up = up + 1
      while is_less(list[up], pivot) do
        if up > high then error('invalid order function for sorting', 0) end
        up = up + 1
      end
      down = down - 1
      while is_less(pivot, list[down]) do
        if down < low then error('invalid order function for sorting', 0) end
        down = down - 1
      end
      if down < up then break end
      list[up], list[down] = list[down], list[up]
    end
    list[high - 1], list[up] = list[up], list[high - 1]
    if up - low < high - up then
      sort(list, low, up - 1, is_less)
      low = up + 1
    else
      sort(list, up + 1, high, is_less)
      high = up - 1
    end
  end
end

function table.sort(list, is_less)
  if type(list) ~= 'table' then
    local got = list == nil and 'no value' or type(list)
    error("bad argument #1 to 'sort' (table expected, got " .. got .. ')', 2)
  end
  if is_less ~= nil and type(is_less) ~= 'function' then
    error("bad argument #2 to 'sort' (function expected, got " .. type(is_less) .. ')', 2)
  end
  sort(list, 1, #list, is_less or less)
end

-- The globals ---------------------------------------------------------------------------------------

local globals = {
  _VERSION = _VERSION, assert = assert, error = error, gcinfo = gcinfo, getmetatable = getmetatable,
  ipairs = ipairs, next = next, pairs = pairs, rawequal = rawequal, rawget = rawget, select = select,
  tonumber = tonumber, tostring = tostring, type = type, unpack = unpack,
  string = protect(string), table = protect(table), math = protect(math), redis = protect(native.redis),
}

local environment = setmetatable({}, {
  __index = globals,
  __newindex = readonly,
  __metatable = false,
})
protected[environment], protected[globals] = true, true
setmetatable(globals, {
  __index = function(_, name)
    local kind = type(name)
    if kind ~= 'string' and kind ~= 'number' then
      error('Second argument to luaProtectedTableError must be a string or number', 2)
    end
    error("Script attempted to access nonexistent global variable '" .. name .. "'", 2)
  end,
  __metatable = false,
})
globals._G = environment
getmetatable('').__metatable = false

function globals.pcall(...)
  return settled_text(pcall(...))
end

function globals.xpcall(called, handler)
  return settled(xpcall(called, function(raised)
    if type(raised) == 'userdata' then
      local value, ends = unwrap(raised)
      if ends then return raised end
      raised = value
    end
    return handler(raised)
  end))
end

local threads = {}
for name, value in pairs(coroutine) do threads[name] = value end
function threads.resume(...)
  return settled(resume(...))
end
globals.coroutine = protect(threads)

function globals.rawset(list, key, value)
  if protected[list] then error('Attempt to modify a readonly table', 0) end
  return rawset(list, key, value)
end

function globals.setmetatable(list, meta)
  if protected[list] then error('Attempt to modify a readonly table', 0) end
  return setmetatable(list, meta)
end

-- A collection would take as long as there is memory, within one instruction.
function globals.collectgarbage(what)
  if what == 'count' then return (gcinfo()) end
  return 0
end

function globals.getfenv(of)
  if type(of) == 'function' then
    local found = getfenv(of)
    return found == ours and environment or found
  end
  return environment
end

function globals.setfenv(of, to)
  if type(to) ~= 'table' then
    error("bad argument #2 to 'setfenv' (table expected, got " .. type(to) .. ')', 2)
  end
  if type(of) == 'function' then
    if getfenv(of) == ours then
      error("'setfenv' cannot change environment of given object", 2)
    end
    return setfenv(of, to)
  end
  if of ~= 1 then error("bad argument #1 to 'setfenv' (invalid level)", 2) end
  return setfenv(2, to)
end

function globals.loadstring(text, name)
  text = text_of('loadstring', 1, text)
  local made, why = compile(text, name == nil and text or text_of('loadstring', 2, name))
  if not made then return nil, why end
  return setfenv(made, environment)
end

function globals.load(piece, name)
  local parts, count = {}, 0
  while true do
    local part = piece()
    if part == nil or part == '' then break end
    if type(part) ~= 'string' then return nil, 'reader function must return a string' end
    count = count + 1
    parts[count] = part
  end
  return globals.loadstring(concat(parts), name == nil and '=(load)' or name)
end

-- Readies a script, and runs it: `handler` is told what ends it with an error.
return function(script, handler, keys, arguments)
  globals.KEYS, globals.ARGV = keys, arguments
  return xpcall(setfenv(script, environment), handler)
end

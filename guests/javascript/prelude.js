// What JavaScript code finds beside the language: console, Math.random, and the variables of expressions ($json, $node, ...).
// Runs once, before the snapshot. Returns the functions that guest.c calls. Keeps its own references to built-in functions,
// since the code that runs later may replace them.
(function (native) {
  const { freeze } = Object;
  const { isArray } = Array;
  const { stringify } = JSON;
  const hasOwn = Object.hasOwn;

  Object.defineProperty(Math, "random", { value: native.random, writable: true, configurable: true });
  // `eval` sees variables that the host cannot know of, and the host sends only what a source names.
  delete globalThis.eval;

  // --- console ---

  // In the order of the host's list of levels.
  const LEVELS = ["debug", "info", "warn", "error"];

  function show(value) {
    if (typeof value === "string") return value;
    if (typeof value === "function") return `[function ${value.name}]`;
    if (typeof value !== "object" || value === null) return String(value);
    if (value instanceof Error) return `${value}\n${value.stack}`;
    try {
      return stringify(value) ?? String(value);
    } catch {
      return String(value);
    }
  }

  const write = (level) => (...values) => native.log(level, values.map(show).join(" "));
  globalThis.console = Object.fromEntries(LEVELS.map((name, level) => [name, write(level)]));
  console.log = console.info;
  console.trace = console.debug;

  // --- The variables of expressions ---

  // `$now` and `$today`: a Date that knows its zone. As text it is ISO 8601 with the zone's offset.
  class ZonedDate extends Date {
    #zoned;
    constructor(zoned) {
      super(zoned.ms);
      this.#zoned = zoned;
    }
    get zone() { return this.#zoned.zone; }
    get offsetMinutes() { return this.#zoned.offsetMinutes; }
    get year() { return this.#zoned.year; }
    get month() { return this.#zoned.month; }
    get day() { return this.#zoned.day; }
    get hour() { return this.#zoned.hour; }
    get minute() { return this.#zoned.minute; }
    get second() { return this.#zoned.second; }
    get weekday() { return this.#zoned.weekday; }
    toISO() { return this.#zoned.iso; }
    toString() { return this.#zoned.iso; }
    toJSON() { return this.#zoned.iso; }
  }

  const at = (items, index) => items[index < 0 ? items.length + index : index];

  // `$node("id")`: the latest output of a node. `data` is `{ item?, items?, index? }`.
  class NodeOutput {
    #data;
    constructor(data) { this.#data = data; }
    get item() { return this.#data.items ? this.#data.items[this.#data.index] : this.#data.item; }
    get json() { return this.item?.json; }
    get binary() { return this.item?.binary; }
    get items() { return this.#data.items; }
    all() { return this.#data.items; }
    first() { return at(this.#data.items, 0); }
    last() { return at(this.#data.items, -1); }
    toJSON() { return this.item; }
  }

  // `$input`: the items of the first input.
  class Input {
    #scope;
    constructor(scope) { this.#scope = scope; }
    get item() { return this.#scope.$item; }
    all() { return this.#scope.items; }
    first() { return at(this.#scope.items, 0); }
    last() { return at(this.#scope.items, -1); }
  }

  // A compiled function takes the variables it uses out of this by name; `raw` is what the host sent for them.
  class Scope {
    #raw;
    constructor(raw) { this.#raw = raw; }
    get input() {
      const { input, items } = this.#raw;
      return input === undefined && isArray(items) ? items.map((item) => item.json) : input;
    }
    get items() { return this.#raw.items; }
    get env() { return this.#raw.granted ?? {}; }
    get $json() { return this.$item?.json; }
    get $binary() { return this.$item?.binary; }
    get $item() { return this.#raw.item ?? this.#raw.items?.[this.#raw.itemIndex]; }
    get $items() { return () => this.items; }
    get $input() { return new Input(this); }
    get $node() {
      const { nodes } = this.#raw;
      return (id) => {
        if (!hasOwn(nodes, id)) throw new Error(`node "${id}" has no output: there is no such node, or it has not run`);
        return new NodeOutput(nodes[id]);
      };
    }
    get $itemIndex() { return this.#raw.itemIndex; }
    get $runIndex() { return this.#raw.runIndex; }
    get $execution() { return this.#raw.execution; }
    get $workflow() { return this.#raw.workflow; }
    get $vars() { return this.#raw.vars; }
    get $env() { return this.#raw.env; }
    get $now() { return new ZonedDate(this.#raw.now); }
    get $today() { return new ZonedDate(this.#raw.today); }
  }

  // --- fetch: the host refuses it where the network was not granted ---

  const { parse } = JSON;

  const pairsOf = (headers) => {
    const pairs = isArray(headers) || headers instanceof Headers ? [...headers] : Object.entries(headers ?? {});
    return pairs.map(([name, value]) => [String(name), String(value)]);
  };

  // The headers of an answer, by their names in lower case.
  class Headers {
    #byName;
    constructor(byName) { this.#byName = byName; }
    get(name) {
      const known = String(name).toLowerCase();
      return hasOwn(this.#byName, known) ? this.#byName[known] : null;
    }
    has(name) { return this.get(name) !== null; }
    entries() { return Object.entries(this.#byName).values(); }
    [Symbol.iterator]() { return this.entries(); }
  }

  // What `fetch` resolves to. The whole body is there already, as an ArrayBuffer.
  class Response {
    #head;
    #body;
    constructor(head, body) {
      this.#head = head;
      this.#body = body;
      this.headers = new Headers(head.headers);
    }
    get url() { return this.#head.url; }
    get status() { return this.#head.status; }
    get ok() { return this.#head.ok; }
    async text() { return native.text(this.#body); }
    async json() { return parse(native.text(this.#body)); }
    async bytes() { return new Uint8Array(this.#body.slice(0)); }
    async arrayBuffer() { return this.#body.slice(0); }
  }

  function bodyOf(body) {
    if (body === undefined || body === null) return "";
    if (body instanceof ArrayBuffer) return body;
    if (ArrayBuffer.isView(body)) return body.buffer.slice(body.byteOffset, body.byteOffset + body.byteLength);
    return String(body);
  }

  globalThis.fetch = async function fetch(url, { method, headers, body } = {}) {
    const asked = { url: String(url), method: method && String(method), headers: pairsOf(headers) };
    const [head, answer] = native.fetch(stringify(asked), bodyOf(body));
    const told = parse(head);
    if (told.error !== undefined) throw new TypeError(`fetch failed: ${told.error}`);
    return new Response(told, answer);
  };

  // --- What guest.c calls ---

  const invoke = (compiled, raw) => compiled(new Scope(raw));

  // Whatever was thrown, as JSON `{ name, message, stack }`.
  function describe(thrown) {
    if (!(thrown instanceof Error)) return stringify({ name: "", message: show(thrown), stack: "" });
    return stringify({ name: String(thrown.name), message: String(thrown.message), stack: String(thrown.stack ?? "") });
  }

  const BUILT_IN = [
    Object, Function, Array, String, Number, Boolean, BigInt, Symbol, Date, RegExp, Promise, Proxy, Map, Set, WeakMap, WeakSet,
    Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError, AggregateError, ArrayBuffer, DataView,
    Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array,
  ];

  function seal() {
    for (const constructor of BUILT_IN) {
      freeze(constructor);
      if (constructor.prototype) freeze(constructor.prototype);
    }
    for (const object of [Math, JSON, Reflect, console, globalThis]) freeze(object);
  }

  return { invoke, describe, seal };
})

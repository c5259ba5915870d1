# The Ruby guest: compiles a source once and runs it over variables, JSON in, JSON out. Evaluated once when Ruby is installed, in
# the sandbox that is snapshotted then. The host calls Citadel.prepare and Citadel.call; both return a JSON text.
#
# The source is the body of a lambda, so it may `return`. When it has defined `main` and ends without a `return`, that is called
# with `input`. Otherwise the last expression counts.

%w[
  base64 benchmark bigdecimal bigdecimal/util cgi/escape csv date delegate digest digest/sha2 English erb forwardable json matrix
  observer openssl optparse ostruct pathname pp prime prism securerandom set shellwords singleton stringio strscan tempfile time
  tsort uri yaml zlib
].each do |library|
  require library
rescue LoadError
  # Not in this build. Code that requires it is told so.
end

# The way to a JavaScript host, which there is not: the library seems loaded, and its constants are missing.
js = $LOAD_PATH.resolve_feature_path("js")
$LOADED_FEATURES << js.last if js

# What JSON has no type for is an error, but for these.
class Object
  def to_json(*) = raise(TypeError, "an object of type #{self.class} is no JSON")
end

class Symbol
  def to_json(*arguments) = name.to_json(*arguments)
end

[Time, Date, DateTime].each do |type|
  type.class_eval { def to_json(*arguments) = iso8601.to_json(*arguments) }
end

module Kernel
  private

  # Sends an HTTP request: the options are `method`, `headers` and `body`. The host refuses it where the network was not granted.
  def fetch(url, options = {}, **named) = Citadel.fetch(url, options.transform_keys(&:to_sym).merge(named))
end

module Citadel
  # What `fetch` returns. The whole body is there already.
  Response = Struct.new(:url, :status, :ok, :headers, :body, keyword_init: true) do
    alias_method :ok?, :ok

    def json = JSON.parse(body)
  end

  # Standard input, through which a request goes out and its answer comes in: a head in JSON, a newline, a body.
  DOOR = 0
  # The name of every source, which marks its frames.
  FILE = "code.rb"
  # The variables of a source.
  NAMES = %w[input items].freeze
  SCOPES = [NAMES.map(&:to_sym)].freeze
  # Nesting that the host reads.
  NESTING_MAX = 128
  # What is kept of an error's message.
  MESSAGE_CHARACTERS_MAX = 10_000
  # Frames of a stack that are told: the innermost of an endless recursion.
  FRAMES_MAX = 20
  # What a body leaves that has defined `main` and ended without a `return`.
  ENDED = Object.new

  class << self
    # Takes `[source, variables of its environment]` and returns what is wrong with the source, or null.
    def prepare(text)
      # The snapshot has frozen the generator.
      srand
      source, environment = JSON.parse(text)
      ENV.update(environment)
      error = first_error(source)
      return JSON.generate(error) if error

      ending = defines_main?(source) ? "Citadel::ENDED" : ""
      # What is around is on line 0 and behind the last, so that lines stay the source's.
      around = "lambda { |#{NAMES.join(", ")}|\n#{source}\n#{ending} }"
      @body = RubyVM::InstructionSequence.compile(around, FILE, FILE, 0)
      "null"
    rescue Exception => error
      JSON.generate(describe(error))
    end

    # Takes the variables and returns `[value]`, or an error.
    def call(text)
      variables = JSON.parse(text, max_nesting: false)
      value = @body.eval.call(*variables.values_at(*NAMES))
      value = TOPLEVEL_BINDING.receiver.send(:main, variables["input"]) if ENDED.equal?(value)
      JSON.generate([value], max_nesting: NESTING_MAX)
    rescue Exception => error
      JSON.generate(describe(error))
    end

    def fetch(url, options)
      unknown = options.keys - %i[method headers body]
      raise ArgumentError, "unknown option: #{unknown.first}" unless unknown.empty?

      door = IO.for_fd(DOOR, "r+b", autoclose: false)
      door.sync = true
      door.write(JSON.generate({ url: url.to_s, method: options[:method]&.to_s, headers: options[:headers] }), "\n", options[:body].to_s)
      head, body = door.read.split("\n", 2)
      told = JSON.parse(head.force_encoding(Encoding::UTF_8), symbolize_names: false)
      raise IOError, "fetch failed: #{told["error"]}" if told.key?("error")

      text = body.dup.force_encoding(Encoding::UTF_8)
      Response.new(**told.transform_keys(&:to_sym), body: text.valid_encoding? ? text : body)
    end

    private

    # The parser's own words, with the place; the compiler's are for a terminal.
    def first_error(source)
      return if Prism.parse_success?(source, scopes: SCOPES)

      error = Prism.parse(source, scopes: SCOPES).errors.first

      place = error.location
      { name: "SyntaxError", message: error.message, stack: "at #{FILE}:#{place.start_line}:#{place.start_column + 1}" }
    end

    def defines_main?(source)
      return false unless source.include?("main")

      statements = Prism.parse(source, scopes: SCOPES).value.statements.body
      statements.any? { |statement| statement.is_a?(Prism::DefNode) && statement.name == :main && !statement.receiver }
    end

    def describe(error)
      message = message_of(error)
      # The few errors that only the compiler finds.
      if error.is_a?(SyntaxError) && (found = message.match(/\A#{FILE}:(\d+): (.*)/))
        return { name: "SyntaxError", message: found[2], stack: "at #{FILE}:#{found[1]}:1" }
      end

      frames = (error.backtrace_locations || []).select { |frame| frame.path == FILE }.first(FRAMES_MAX)
      stack = frames.map { |frame| "at #{frame.base_label.sub("<compiled>", "<main>")} (#{FILE}:#{frame.lineno})" }
      { name: error.class.to_s, message:, stack: stack.join("\n") }
    end

    def message_of(error)
      error.message.to_s.encode("UTF-8", invalid: :replace, undef: :replace).scrub[0, MESSAGE_CHARACTERS_MAX]
    rescue Exception
      "(its message cannot be made)" # The class of the error is the user's, too.
    end
  end
end

# Every line reaches the host when it is written.
$stdout.sync = true
$stderr.sync = true

# Makes the snapshot one of which a run touches little: every page that it writes to is copied for it.
module Citadel
  # What runs before the snapshot, and how often.
  WARM_UPS = 50
  WARM_UP = <<~'RUBY'
    names = input.map { |item| item["name"].to_s.upcase }.uniq.sort
    total = ->(item) { item["price"] * item.fetch("count", 1) }
    input.select { |item| item["price"] > 1.5 }.map { |item| { id: item["id"], total: total.(item).round(2), text: "#{item["name"]}" } }
  RUBY
  # Sizes of what holes are filled with, and how many in a row lie behind all others when there are no more.
  HOLES = [4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8].freeze
  HOLE_ROW = 50

  class << self
    def settle
      # The interpreter keeps what it has looked up: all of that is in the snapshot.
      items = Array.new(10) { |id| { id:, name: "item #{id}", price: 1.5 * id, count: id + 1, tags: ["a", nil, true] } }
      WARM_UPS.times do
        prepare(JSON.generate([WARM_UP, {}]))
        answer = call(JSON.generate({ input: items }))
        raise answer unless answer.start_with?("[")
      end
      @body = nil
      Process.warmup
      # What is free between what is there is taken, so that what a run takes lies together, behind all others.
      experimental, Warning[:experimental] = Warning[:experimental], false
      @filled = HOLES.flat_map { |size| fill(size) }
      Warning[:experimental] = experimental
      GC.start
    end

    private

    def fill(size)
      filled, highest, behind = [], 0, 0
      while behind < HOLE_ROW
        filled << IO::Buffer.new(size, IO::Buffer::INTERNAL)
        # There is no other way to learn where it is.
        address = filled.last.to_s[/0x\h+/].hex
        behind, highest = address > highest ? [behind + 1, address] : [0, highest]
      end
      filled
    end
  end
end

Citadel.settle
